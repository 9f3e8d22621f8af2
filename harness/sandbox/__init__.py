"""What runs below the native driver and the sandbox connection: small programs and the system calls they need.

`supervisor` and `enter` are started as `python -I -S` and import nothing outside the standard library, and of that
only what starts in a few milliseconds: a sandbox is to be ready before an interpreter has loaded its site-packages.
"""
