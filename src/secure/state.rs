//! Layer: faces. Everything of secure memory that changes, behind its one lock. Zeros are a valid
//! state, but for the stream.

use super::backing::Supply;
use super::pages::{Pages, Table};
use super::pool::{Pool, PoolTable};
use super::root::Fixed;
use crate::rng::Stream;

/// See the module.
pub struct State {
    /// Random numbers: places, guards, slots.
    pub stream: Stream,
    /// What the kernel gave and refused.
    pub supply: Supply,
    /// Buffers with pages of their own.
    pub pages: Pages,
    /// Small buffers.
    pub pool: Pool,
}

impl State {
    /// Buffers with pages of their own.
    #[inline]
    pub fn table(&mut self, fixed: &'static Fixed) -> Table<'_> {
        Table { fixed, pages: &mut self.pages, stream: &mut self.stream, supply: &mut self.supply }
    }

    /// Small buffers.
    #[inline]
    pub fn pool_table(&mut self, fixed: &'static Fixed) -> PoolTable<'_> {
        PoolTable {
            fixed,
            pool: &mut self.pool,
            stream: &mut self.stream,
            supply: &mut self.supply,
        }
    }
}
