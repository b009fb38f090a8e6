//! Pages of other sites that would like to speak for their visitor.

use crate::attacked;
use crate::common::peer::upgrade;
use crate::common::{Server, eventually};
use crate::requests::ask;

/// What an upgrade with this `Origin` is answered.
fn status(server: &Server, origin: &str) -> u16 {
    ask(
        server,
        upgrade(server, "/", &format!("Origin: {origin}\r\n")).as_bytes(),
    )
    .status
}

#[test]
fn forged_origins_are_refused() {
    attacked("forged origins", &[], 0, |server| {
        let port = server.port();
        for forged in [
            "http://evil.example".into(),
            format!("http://evil.example:{port}"),
            format!("http://127.0.0.1.evil.example:{port}"),
            format!("http://localhost.evil.example:{port}"),
            format!("http://evil-localhost:{port}"),
            format!("http://notlocalhost:{port}"),
            format!("http://127.0.0.1:{port}@evil.example"),
            format!("http://127.0.0.1:{port}.evil.example"),
            format!("http://evil.example#127.0.0.1:{port}"),
            format!("http://evil.example/127.0.0.1:{port}"),
            format!("http://[::1].evil.example:{port}"),
            format!("http://127.0.0.1:{port} http://evil.example"),
            format!("http://127.0.0.1:{port},http://evil.example"),
            format!("ftp://127.0.0.1:{port}"),
            format!("//127.0.0.1:{port}"),
            format!("127.0.0.1:{port}"),
            "chrome-extension://abcdefghijklmnop".into(),
            "file://".into(),
            "http://".into(),
            "http://[::1".into(),
            "http://0.0.0.0".into(),
            "http://128.0.0.1".into(),
            "NULL".into(),
            "*".into(),
        ] {
            assert_eq!(status(server, &forged), 403, "{forged}");
        }
        assert!(eventually(|| {
            let log = server.log();
            log.iter().any(|line| line.contains("evil.example"))
        }));
    });
}

#[test]
fn two_origins_are_one_too_many() {
    attacked("two origins", &[], 0, |server| {
        let lines = format!(
            "Origin: http://{}\r\nOrigin: http://evil.example\r\n",
            server.address
        );
        let answer = ask(server, upgrade(server, "/", &lines).as_bytes());
        assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    });
}

#[test]
fn on_loopback_the_own_page_a_file_and_other_loopback_pages_may_in() {
    attacked("loopback origins", &[], 0, |server| {
        for own in [
            &format!("http://{}", server.address),
            "null",
            "http://localhost:5173",
            "http://[::1]:3000",
        ] {
            assert_eq!(status(server, own), 101, "{own}");
        }
    });
}

#[test]
fn an_allowed_origin_replaces_every_other_rule() {
    attacked(
        "allowed origins",
        &["--allow-origin", "https://a.example"],
        0,
        |server| {
            assert_eq!(status(server, "https://a.example"), 101);
            for other in [
                "http://a.example",
                "https://a.example:444",
                "https://b.a.example",
                "https://a.example.evil.example",
                "https://a.example/",
                "null",
                "http://localhost:5173",
                &format!("http://{}", server.address),
            ] {
                assert_eq!(status(server, other), 403, "{other}");
            }
        },
    );
}

#[test]
fn a_star_lets_in_every_page() {
    attacked("any origin", &["--allow-origin", "*"], 0, |server| {
        for any in ["https://evil.example", "null", "http://localhost"] {
            assert_eq!(status(server, any), 101, "{any}");
        }
    });
}

#[test]
fn a_name_that_was_rebound_to_loopback_is_refused() {
    attacked("DNS rebinding", &[], 0, |server| {
        let port = server.port();
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "128.0.0.1",
        ] {
            let page = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
            assert_eq!(ask(server, page.as_bytes()).status, 403, "{host}");
            let join = upgrade(server, "/", &format!("Origin: http://{host}:{port}\r\n")).replace(
                &format!("Host: 127.0.0.1:{port}"),
                &format!("Host: {host}:{port}"),
            );
            assert_eq!(ask(server, join.as_bytes()).status, 403, "{host}");
        }
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            let page = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
            assert_eq!(ask(server, page.as_bytes()).status, 200, "{host}");
        }
    });
}
