//! Six bytes a step: what, which, two of size, alignment, policy. Knows nothing of the test
//! framework.

use casemate::secure::{
    Access, AccessGuard, ErrorKind, Freed, Policy, safe_alloc_with, safe_protect, safe_query,
    safe_realloc, secure_verify, try_safe_free,
};
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// Bytes of a step.
const STEP: usize = 6;
/// Live bytes at most.
const MOST: usize = 4 << 20;

/// What the model knows of a buffer.
struct Buffer {
    at: NonNull<u8>,
    size: usize,
    policy: Policy,
    value: u8,
    rest: Access,
    guards: Vec<AccessGuard>,
}

impl Buffer {
    fn address(&self) -> usize {
        self.at.as_ptr().addr()
    }

    fn expected(&self) -> Access {
        let writes = self.guards.iter().any(AccessGuard::is_writable);
        match self.rest {
            _ if writes => Access::ReadWrite,
            Access::NoAccess if !self.guards.is_empty() => Access::ReadOnly,
            rest => rest,
        }
    }

    fn fill(&mut self, value: u8) {
        // SAFETY: a live buffer that the model knows to be open; the sequence is its only user.
        unsafe { self.at.write_bytes(value, self.size) };
        self.value = value;
    }

    fn is_whole(&self, value: u8, len: usize) -> bool {
        // SAFETY: as for `fill`.
        let bytes = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.size) };
        bytes.iter().take(len).all(|&byte| byte == value)
    }
}

#[derive(Default)]
struct Model {
    live: BTreeMap<usize, Buffer>,
    bytes: usize,
    /// Addresses that were given up and not handed out since.
    gone: Vec<NonNull<u8>>,
}

type Outcome = Result<(), String>;

fn expect(right: bool, what: &str) -> Outcome {
    if right { Ok(()) } else { Err(what.into()) }
}

/// Runs the sequence that the bytes stand for, and gives everything back.
pub fn run(bytes: &[u8]) -> Outcome {
    let mut model = Model::default();
    let mut done = Ok(());
    for (i, step) in bytes.as_chunks::<STEP>().0.iter().enumerate() {
        done = model.step(step).map_err(|what| format!("step {i} {step:?}: {what}"));
        if done.is_err() {
            break;
        }
    }
    let end = model.end();
    done.and(end)
}

impl Model {
    fn step(&mut self, step: &[u8; STEP]) -> Outcome {
        let [what, which, s0, s1, a, p] = *step;
        let layout = layout(s0, s1, a)?;
        match what % 32 {
            0..=11 => self.allocate(layout, policy(p), what),
            12..=19 => self.free(which),
            20..=23 => self.resize(which, layout, what),
            24 | 25 => self.protect(which, s0),
            26 | 27 => self.open(which, s0 & 1 == 1),
            28 => self.close(which),
            29 => self.query(which),
            30 => self.misuse(which),
            _ if s1 < 16 => self.verify(),
            _ => self.query(which),
        }
    }

    fn pick(&mut self, which: u8) -> Option<&mut Buffer> {
        let count = self.live.len();
        (count > 0).then(|| self.live.values_mut().nth(which as usize * 37 % count))?
    }

    fn add(&mut self, mut buffer: Buffer, value: u8) -> Outcome {
        let (at, size) = (buffer.address(), buffer.size);
        let before = self.live.range(..=at).next_back();
        expect(before.is_none_or(|(&start, b)| start + b.size < at), "overlaps one below")?;
        let after = self.live.range(at..).next();
        expect(after.is_none_or(|(&start, _)| at + size < start), "overlaps one above")?;
        if buffer.expected() == Access::ReadWrite {
            buffer.fill(value);
        }
        self.bytes += size;
        self.gone.retain(|gone| !(at..=at + size).contains(&gone.as_ptr().addr()));
        self.live.insert(at, buffer);
        Ok(())
    }

    fn allocate(&mut self, layout: Layout, policy: Policy, value: u8) -> Outcome {
        if self.bytes + layout.size() > MOST {
            return self.free(value);
        }
        let got = safe_alloc_with(layout, &policy).map_err(|error| error.to_string())?;
        expect(got.len() == layout.size(), "length")?;
        let at = got.cast::<u8>();
        expect(at.as_ptr().addr() & (layout.align() - 1) == 0, "alignment")?;
        let buffer = Buffer {
            at,
            size: layout.size(),
            policy,
            value: 0,
            rest: Access::ReadWrite,
            guards: Vec::new(),
        };
        expect(buffer.is_whole(0, buffer.size), "not zero")?;
        self.add(buffer, value | 1)
    }

    fn take(&mut self, which: u8) -> Option<Buffer> {
        let at = self.pick(which)?.address();
        let mut buffer = self.live.remove(&at)?;
        self.bytes -= buffer.size;
        buffer.guards.clear();
        Some(buffer)
    }

    fn free(&mut self, which: u8) -> Outcome {
        let Some(buffer) = self.take(which) else { return Ok(()) };
        if buffer.rest != Access::NoAccess {
            expect(buffer.is_whole(buffer.value, buffer.size), "contents before the free")?;
        }
        self.give_back(&buffer)
    }

    fn give_back(&mut self, buffer: &Buffer) -> Outcome {
        // SAFETY: the model's own buffer, without guards, used no more.
        let freed = unsafe { try_safe_free(buffer.at) }.map_err(|error| error.to_string())?;
        expect(freed == Freed::Wiped && safe_query(buffer.at.as_ptr()).is_none(), "freed")?;
        self.gone.push(buffer.at);
        Ok(())
    }

    fn resize(&mut self, which: u8, layout: Layout, value: u8) -> Outcome {
        if self.bytes + layout.size() > MOST {
            return Ok(());
        }
        let Some(buffer) = self.take(which) else { return Ok(()) };
        // SAFETY: the model's own buffer, without guards; the old pointer is used no more.
        let got = unsafe { safe_realloc(buffer.at, layout) }.map_err(|error| error.to_string())?;
        self.gone.push(buffer.at);
        let small = !safe_query(got.cast::<u8>().as_ptr()).ok_or("no buffer")?.pooled;
        let rest = if small { buffer.rest } else { Access::ReadWrite };
        let kept = buffer.size.min(layout.size());
        let new =
            Buffer { at: got.cast(), size: layout.size(), rest, guards: Vec::new(), ..buffer };
        if rest != Access::NoAccess {
            expect(new.is_whole(new.value, kept), "contents after the resize")?;
            // SAFETY: the rest of a live buffer that may be read.
            let more = unsafe { new.at.add(kept).cast::<u8>() };
            // SAFETY: as above.
            let more = unsafe { std::slice::from_raw_parts(more.as_ptr(), new.size - kept) };
            expect(more.iter().all(|&byte| byte == 0), "more is not zero")?;
        }
        let mut new = new;
        if new.rest != Access::ReadWrite {
            // SAFETY: nothing refers to its bytes.
            let open = unsafe { safe_protect(new.at, Access::ReadWrite) };
            open.map_err(|error| error.to_string())?;
            new.rest = Access::ReadWrite;
        }
        self.add(new, value | 1)
    }

    fn protect(&mut self, which: u8, access: u8) -> Outcome {
        let access = [Access::NoAccess, Access::ReadOnly, Access::ReadWrite][access as usize % 3];
        let Some(buffer) = self.pick(which) else { return Ok(()) };
        let pooled = safe_query(buffer.at.as_ptr()).ok_or("no buffer")?.pooled;
        // SAFETY: nothing refers to its bytes.
        let done = unsafe { safe_protect(buffer.at, access) }.map_err(|error| error.kind());
        let expected = match (pooled, buffer.guards.is_empty()) {
            (true, _) => Err(ErrorKind::Pooled),
            (false, false) => Err(ErrorKind::Borrowed),
            (false, true) => Ok(()),
        };
        expect(done == expected, "protect")?;
        if done.is_ok() {
            buffer.rest = access;
        }
        Ok(())
    }

    fn open(&mut self, which: u8, writes: bool) -> Outcome {
        let Some(buffer) = self.pick(which) else { return Ok(()) };
        if buffer.guards.len() > 3 {
            buffer.guards.clear();
        }
        // SAFETY: the guards are dropped before the buffer is freed or resized, see `take`.
        let guard = unsafe {
            if writes { AccessGuard::write(buffer.at) } else { AccessGuard::read(buffer.at) }
        };
        let guard = guard.map_err(|error| error.to_string())?;
        expect(guard.bytes().len() == buffer.size, "the guard's size")?;
        buffer.guards.push(guard);
        expect(buffer.is_whole(buffer.value, buffer.size), "contents under a guard")?;
        if writes {
            buffer.fill(buffer.value.wrapping_add(2));
        }
        self.query(which)
    }

    fn close(&mut self, which: u8) -> Outcome {
        if let Some(buffer) = self.pick(which) {
            buffer.guards.pop();
        }
        self.query(which)
    }

    fn query(&mut self, which: u8) -> Outcome {
        let Some(buffer) = self.pick(which) else { return Ok(()) };
        let seen = safe_query(buffer.at.as_ptr()).ok_or_else(|| {
            format!("no buffer of {} at {:?} under {:?}", buffer.size, buffer.at, buffer.policy)
        })?;
        expect(seen.size == buffer.size, "size")?;
        if !seen.pooled {
            expect(seen.access == buffer.expected(), "access")?;
        }
        expect(!seen.pooled || !buffer.policy.is_protectable(), "pooled though protectable")?;
        expect(seen.satisfied().has(buffer.policy.requirements()), "less than required")
    }

    /// Wrong pointers are refused and change nothing.
    fn misuse(&mut self, which: u8) -> Outcome {
        let refused = |at: NonNull<u8>| {
            // SAFETY: no buffer starts there, so nothing is freed.
            let freed = unsafe { try_safe_free(at) };
            let kind = freed.map_err(|error| error.kind());
            matches!(kind, Err(ErrorKind::Misuse(_) | ErrorKind::NotABuffer))
        };
        if let Some(buffer) = self.pick(which) {
            // SAFETY: at most one behind the end.
            let inside =
                unsafe { buffer.at.add(buffer.size / 2 + 1 - usize::from(buffer.size == 0)) };
            if inside != buffer.at {
                expect(refused(inside), "an interior pointer")?;
            }
        }
        let count = self.gone.len();
        if count > 0 {
            let gone = self.gone[which as usize * 31 % count];
            expect(refused(gone) && safe_query(gone.as_ptr()).is_none(), "a freed pointer")?;
        }
        Ok(())
    }

    fn verify(&mut self) -> Outcome {
        secure_verify().map(drop).map_err(|error| error.to_string())
    }

    fn end(mut self) -> Outcome {
        self.verify()?;
        while !self.live.is_empty() {
            self.free(0)?;
        }
        self.verify()
    }
}

fn layout(s0: u8, s1: u8, a: u8) -> Result<Layout, String> {
    let align = match a {
        0..200 => 1 << (a % 5),
        200..250 => 1 << (a % 13),
        _ => 1 << (a % 21),
    };
    let small = s1 as usize;
    let size = match s0 % 16 {
        0..=5 => small % 70,
        6..=9 => small * 5,
        10..=12 => small * 24 + s0 as usize,
        13 | 14 => 4000 + small * 16,
        _ => small * 1024,
    };
    Layout::from_size_align(size, align).map_err(|error| error.to_string())
}

fn policy(p: u8) -> Policy {
    let policy = Policy::best_effort();
    match p % 16 {
        0 | 1 => policy.protectable(),
        2 | 3 => policy.hibernation_friendly(),
        4 => policy.share_with_children(),
        5 => policy.hibernation_friendly().protectable(),
        _ => policy,
    }
}
