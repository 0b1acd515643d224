//! The demo page carries tokens that may book for everyone: only a browser on the server's own machine gets them, and in
//! production nobody does.

use crate::support::{BACKEND_TOKEN, Server, get_with};

#[test]
fn who_comes_from_elsewhere_gets_none() {
    let server = Server::with(&[("CARILLON_ENV", "development")]);
    let home = server.get("/");
    assert!(home.status == 200 && home.body.contains(BACKEND_TOKEN), "{home:?}");
    assert!(home.headers.to_ascii_lowercase().contains("cache-control: no-store"), "{}", home.headers);
    // By a proxy; and by a foreign name that was made to lead here.
    let elsewhere = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
        ("Host", "app.example"),
        ("Host", "localhost.app.example:5002"),
    ];
    for header in elsewhere {
        let page = get_with(server.address, "/", &[header]);
        assert!(page.status == 200 && page.body.contains("stays at home"), "{header:?}: {page:?}");
        assert!(!page.body.contains(BACKEND_TOKEN) && !page.body.contains("eyJ"), "{header:?}: a token");
    }
    assert_eq!(server.get("/demo/no-such-file").status, 404);
}

#[test]
fn production_has_no_demo() {
    let server = Server::start();
    for path in ["/", "/demo/demo.js"] {
        let page = server.get(path);
        assert!(page.status == 404 && !page.body.contains(BACKEND_TOKEN), "{path}: {page:?}");
    }
}
