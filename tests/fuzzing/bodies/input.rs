//! Bytes to numbers: any bytes at all, zeros behind their end.

use super::harness::sequence;

/// What is left of an input.
pub struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    /// All of it.
    pub fn new(bytes: &'b [u8]) -> Self {
        Input(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes.
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let n = self.0.len().min(N);
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        out
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    /// One of the next `n` numbers.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(u16::from_le_bytes(self.take())) % n.max(1)
    }

    /// The next eight bytes.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// A size up to `largest` and an alignment: often next to where something changes.
    pub fn request(&mut self, largest: usize) -> (usize, usize) {
        let [a, s @ ..] = self.take::<5>();
        let align = sequence::align(a);
        (sequence::size(s, align, largest), align)
    }

    /// A distance: mostly short, of either sign, up to 8 MiB.
    pub fn distance(&mut self) -> isize {
        let [shift, low, high] = self.take();
        let short = isize::from(i16::from_le_bytes([low, high]));
        match shift % 16 {
            0..=3 => short % 32,
            4..=7 => short >> 4,
            8..=11 => short,
            12 | 13 => short << 3,
            _ => short << 8,
        }
    }
}
