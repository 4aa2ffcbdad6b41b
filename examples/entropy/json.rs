//! The machine-readable form.

use crate::curves::{Curve, Neighbours};
use crate::mechanisms::{How, Row};
use crate::{Heap, Results, machine, places};
use serde_json::{Value, json};

/// All of it.
pub fn text(results: &Results) -> String {
    let all = json!({
        "architecture": std::env::consts::ARCH,
        "kernel": machine::kernel(),
        "glibc": machine::glibc(),
        "starts": results.starts,
        "mechanisms": results.mechanisms.iter().map(mechanism).collect::<Vec<_>>(),
        "heaps": results.heaps.iter().map(heap).collect::<Vec<_>>(),
        "absent": results.absent,
    });
    format!("{all:#}\n")
}

fn mechanism(row: &Row) -> Value {
    let how = match row.how {
        How::Pairs => json!("pairs"),
        How::Form { uneven } => json!({ "form": { "uneven_bits": uneven } }),
        How::Counts { p, .. } => json!({ "counts": { "p": p } }),
        How::Bitwise { uneven, linked } => {
            json!({ "bitwise": { "uneven_bits": uneven, "linked_pairs": linked } })
        }
    };
    json!({
        "what": row.what,
        "design": row.design,
        "bits": row.bits,
        "at_least": row.floor,
        "samples": row.samples,
        "by": how,
        "as_designed": row.is_as_designed(),
    })
}

fn heap(heap: &Heap) -> Value {
    json!({
        "name": heap.name,
        "places": heap.places.iter().map(place).collect::<Vec<_>>(),
        "neighbours": heap.neighbours.iter().map(neighbours).collect::<Vec<_>>(),
        "curves": heap.curves.iter().map(curve).collect::<Vec<_>>(),
    })
}

fn place(row: &places::Row) -> Value {
    json!({
        "what": row.what,
        "bits": row.seen.bits(),
        "by_pairs": row.seen.by_pairs(),
        "at_least": row.seen.floor,
        "best_guess": row.seen.guess,
        "uneven_bits": row.seen.uneven,
        "distinct": row.seen.distinct,
        "samples": row.seen.samples,
    })
}

fn neighbours(found: &Neighbours) -> Value {
    json!({
        "size": found.size,
        "pairs": found.pairs,
        "beside": found.beside,
        "behind": found.behind,
    })
}

fn curve(curve: &Curve) -> Value {
    json!({
        "way": curve.way.name(),
        "size": curve.size,
        "runs": curve.runs,
        "most": curve.most,
        "after": curve.after,
    })
}
