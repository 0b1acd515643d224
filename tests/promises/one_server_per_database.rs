//! Two servers on one SQLite file would hand out the same numbers: the second is refused, by whatever path it comes.

use std::fs;

use crate::support::{Server, run_command};

#[test]
fn the_second_is_refused_by_path_and_by_links() {
    let server = Server::on_sqlite();
    let home = server.home();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let (hard, soft) = (elsewhere.path().join("hard.db"), elsewhere.path().join("soft.db"));
    fs::hard_link(home.join("carillon.db"), &hard).expect("a link on one disk");
    std::os::unix::fs::symlink(home.join("carillon.db"), &soft).expect("a link");
    for path in [home.join("carillon.db"), hard, soft] {
        let path = path.to_str().expect("a path");
        for command in ["serve", "migrate"] {
            let output = run_command(&[command, "--port", "0", "--database-url", path], &[]);
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && words.contains("another Carillon"), "{path}: {words}");
        }
    }
}
