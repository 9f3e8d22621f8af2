use serde_json::json;
use tempfile::TempDir;

use super::*;

fn call(module: &str, args: &Value, context: &Context) -> ModuleResult {
    let args = Args::new(module, args.as_object().unwrap().clone())?;
    if module == "archive" { run(&args, context) } else { crate::unarchive::run(&args, context) }
}

fn pack_up(args: &Value) -> ModuleResult {
    call("archive", args, &Context::default())
}

fn tree() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir_all(app.join("etc/empty")).unwrap();
    fs::write(app.join("etc/app.conf"), "a = 1\n").unwrap();
    fs::write(app.join(format!("long-{}", "x".repeat(150))), "long").unwrap();
    fs::write(app.join("app.log"), "log").unwrap();
    std::os::unix::fs::symlink("etc/app.conf", app.join("link")).unwrap();
    (folder, app)
}

#[test]
fn what_is_packed_is_unpacked_the_same_in_every_format() {
    for (format, program) in [("gz", ""), ("tar", ""), ("zip", ""), ("xz", "xz"), ("bz2", "bzip2"), ("zstd", "zstd")] {
        if !program.is_empty() && crate::process::find_program(program).is_none() {
            continue;
        }
        let (folder, app) = tree();
        let dest = folder.path().join("archive");
        let patterns = if format == "zip" { "*.log" } else { "app/*.log" };
        let args =
            json!({"path": app, "dest": dest, "format": format, "exclusion_patterns": [patterns], "mode": "0600"});
        let checked = call("archive", &args, &Context { check: true, ..Context::default() }).unwrap();
        assert_eq!((&checked.fields["changed"], dest.exists()), (&json!(true), false), "{format}");
        let first = pack_up(&args).unwrap();
        assert_eq!((&first.fields["changed"], &first.fields["dest_state"]), (&json!(true), &json!("archive")));
        assert_eq!(
            (&first.fields["mode"], &first.fields["arcroot"]),
            (&json!("0600"), &json!(format!("{}/", folder.path().display())))
        );
        assert_eq!(first.fields["archived"].as_array().unwrap().len(), 5, "{:?}", first.fields["archived"]);
        assert_eq!(pack_up(&args).unwrap().fields["changed"], false, "{format}");
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let unpacked = json!({"src": dest, "dest": out, "remote_src": true});
        call("unarchive", &unpacked, &Context::default()).unwrap();
        assert_eq!(fs::read_to_string(out.join("app/link")).unwrap(), "a = 1\n", "{format}");
        assert!(out.join("app/etc/empty").is_dir() && !out.join("app/app.log").exists());
        assert_eq!(fs::read_dir(out.join("app")).unwrap().count(), 3);
        fs::write(app.join("etc/app.conf"), "a = 2\n").unwrap();
        assert_eq!(pack_up(&args).unwrap().fields["changed"], true);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left beside");
    }
}

#[test]
fn one_file_is_compressed_alone_and_removed() {
    let (folder, app) = tree();
    let log = app.join("app.log");
    let done = pack_up(&json!({"path": log, "remove": true})).unwrap();
    let packed = app.join("app.log.gz");
    assert_eq!((&done.fields["dest_state"], &done.fields["dest"]), (&json!("compress"), &json!(packed)));
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(&packed).unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), log.exists()), ("log", false));
    let again = pack_up(&json!({"path": log, "remove": true})).unwrap();
    assert_eq!((&again.fields["changed"], &again.fields["missing"]), (&json!(false), &json!([log])));
    let inside = pack_up(&json!({"path": app, "dest": app.join("self.tar"), "remove": true, "format": "tar"}));
    assert!(inside.unwrap_err().message.contains("can not be contained"));
    let globbed = json!({"path": [app.join("*")], "exclude_path": [app.join("etc"), app.join("long*")],
        "dest": folder.path().join("all.tar"), "format": "tar"});
    assert_eq!(pack_up(&globbed).unwrap().fields["archived"], json!([packed, app.join("link")]));
}

#[test]
fn what_cannot_be_packed_says_so() {
    let (folder, app) = tree();
    assert!(pack_up(&json!({"path": app})).unwrap_err().message.contains("must specify \"dest\""));
    assert!(pack_up(&json!({"path": "/nonesuch/*", "dest": "/x"})).unwrap_err().message.contains("no source paths"));
    assert!(pack_up(&json!({"path": app, "dest": "/nonesuch/x.tar.gz"})).is_err());
    assert!(pack_up(&json!({"path": app, "dest": "/x", "format": "rar"})).is_err());
    let partly = json!({"path": [app.join("etc"), "/nonesuch"], "dest": folder.path().join("x.tgz")});
    assert_eq!(pack_up(&partly).unwrap().fields["dest_state"], "incomplete");
    let roots = |paths: &[&str]| common_root(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
    assert_eq!(roots(&["/a/b/c", "/a/bd/e"]), "/a/");
    assert_eq!((roots(&["/a/b"]), roots(&["/a/b/"]), roots(&["/a"])), ("/a/".into(), "/a/b/".into(), "/".into()));
}
