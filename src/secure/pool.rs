//! Layer: faces. Small buffers.

use super::backing::Supply;
use super::error::SecureError;
use super::policy::Policy;
use super::protections::Protections;
use super::root::Fixed;
use crate::rng::Stream;
use core::alloc::Layout;
use core::ptr::NonNull;

pub struct Pool {
    nothing: u8,
    pub live: usize,
    pub live_bytes: usize,
    pub chunks: usize,
    pub degraded: usize,
    pub degraded_ever: u64,
    pub metadata: usize,
}

pub struct PoolTable<'s> {
    pub fixed: &'static Fixed,
    pub pool: &'s mut Pool,
    pub stream: &'s mut Stream,
    pub supply: &'s mut Supply,
}

impl PoolTable<'_> {
    pub fn start_over(&mut self) {
        self.pool.nothing = 0;
    }
    pub fn allocate(
        &mut self,
        _: Layout,
        _: &Policy,
    ) -> Result<Option<NonNull<[u8]>>, SecureError> {
        Ok(None)
    }
    pub fn holds(&self, _: usize) -> bool {
        false
    }
    pub fn free(&mut self, _: usize) -> Result<(), SecureError> {
        Ok(())
    }
    pub fn size(&self, _: usize) -> Result<usize, SecureError> {
        Ok(0)
    }
    pub fn look(&self, _: usize) -> Result<(usize, Policy), SecureError> {
        Ok((0, Policy::best_effort()))
    }
    pub fn query(&self, _: usize) -> Option<Protections> {
        None
    }
    pub fn verify(&mut self) -> Result<(usize, usize), crate::violation::Violation> {
        Ok((0, 0))
    }
    pub fn take_all_away(&self) {}
}
