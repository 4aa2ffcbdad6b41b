//! A session table whose keys, tokens and the table itself lie in secure memory.
//!
//! ```text
//! cargo run --example secret_map --features allocator-api2
//! ```
//!
//! A `hashbrown` map with `SafeAlloc`: as it grows, each old table is wiped. The printed lines show
//! where the table lies and what protects it, and that an ordinary map's table is not there.

use casemate::secure::{SafeAlloc, SecretBox, safe_query, secure_stats};
use hashbrown::{DefaultHashBuilder, HashMap};
use std::error::Error;

/// Sessions that are opened.
const SESSIONS: u64 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let hasher = DefaultHashBuilder::default();
    let mut sessions: HashMap<u64, [u8; 32], _, _> =
        HashMap::with_hasher_in(hasher, SafeAlloc::new());
    let mut ordinary: HashMap<u64, [u8; 32]> = HashMap::new();
    for number in 0..SESSIONS {
        // A token is made in secure memory and copied to its place in the table.
        let token = SecretBox::<[u8; 32]>::random();
        sessions.insert(number, *token.expose_secret());
        ordinary.insert(number, [0; 32]);
    }
    for number in (0..SESSIONS).filter(|number| number % 3 == 0) {
        sessions.remove(&number);
    }

    let found = sessions.get(&7).ok_or("session 7 is lost")?;
    let has = safe_query(found.as_ptr()).ok_or("the table is not in secure memory")?;
    println!("sessions            {}", sessions.len());
    println!("the table           {has}");
    println!("                    {} bytes", has.size);
    let elsewhere = ordinary.get(&7).and_then(|token| safe_query(token.as_ptr()));
    println!("an ordinary table   {}", if elsewhere.is_none() { "not secure" } else { "secure?" });
    println!("{}", secure_stats());
    drop(sessions);
    let left = secure_stats();
    println!("after dropping it   {} bytes live", left.pooled_bytes + left.own_pages_bytes);
    Ok(())
}
