def base_image() -> str:
    return "bare:12"
