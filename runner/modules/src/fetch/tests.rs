use std::io::Cursor;
use std::time::UNIX_EPOCH;

use super::http::{read_body, read_head};
use super::*;

#[test]
fn addresses() {
    let url = Url::read("http://me:p%40ss@Host:8080/a/b.tar.gz?x=1#y").unwrap();
    assert_eq!((url.place().as_str(), url.path.as_str()), ("Host:8080", "/a/b.tar.gz?x=1"));
    assert_eq!(url.login, Some(("me".to_owned(), "p@ss".to_owned())));
    assert_eq!((url.file_name().as_str(), url.shown().contains("p@ss")), ("b.tar.gz", false));
    assert_eq!(url.joined("c").unwrap().text(), "http://Host:8080/a/c");
    assert_eq!(url.joined("/c").unwrap().text(), "http://Host:8080/c");
    assert_eq!(url.joined("//other/c").unwrap().text(), "http://other/c");
    assert_eq!(url.joined("https://other").unwrap().text(), "https://other/");
    assert_eq!(Url::read("http://[::1]:80/x").unwrap().place(), "[::1]:80");
    assert_eq!(Url::read("file:///a%20b").unwrap().path, "/a b");
    for text in ["", "x", "http://", "http://a b/", "http://a:x/", "http://a/\r\nHost: b"] {
        assert!(Url::read(text).is_err(), "{text}");
    }
}

#[test]
fn answers() {
    let read = |text: &str| -> std::io::Result<(u16, String)> {
        let mut source = Cursor::new(text.as_bytes().to_vec());
        let reply = read_head(&mut source)?;
        let mut body = Vec::new();
        read_body(&mut source, &reply, &mut body)?;
        Ok((reply.status, String::from_utf8(body).unwrap()))
    };
    let ok = |status: u16, body: &str| (status, body.to_owned());
    assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").unwrap(), ok(200, "ab"));
    assert_eq!(read("HTTP/1.0 404 Not Found\n\nrest").unwrap(), ok(404, "rest"));
    let chunks =
        "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    assert_eq!(read(chunks).unwrap(), ok(200, "abcd"));
    for broken in [
        "",
        "220 ftp\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nab",
        "HTTP/1.1 200 OK\r\nA: b",
    ] {
        assert!(read(broken).is_err(), "{broken}");
    }
    assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
}
