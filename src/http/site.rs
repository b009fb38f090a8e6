//! Configuration of the HTTP layer: what this server serves, and to which origins.

use super::origin::Origins;
use super::page::Page;
use super::route::Routes;

/// What this server serves, and to which origins. It is built once, at the start.
#[derive(Clone, Debug)]
pub struct Site {
    /// The origins and host names that are allowed.
    pub origins: Origins,
    /// The subprotocols that the server speaks, in any order: the client's order decides.
    pub subprotocols: &'static [&'static str],
    /// Whether permessage-deflate is negotiated with clients that offer it.
    pub deflate: bool,
    /// The page that browsers are shown.
    pub page: &'static Page,
    /// What stands at which path.
    pub routes: Routes,
}
