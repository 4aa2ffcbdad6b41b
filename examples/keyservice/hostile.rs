//! Frames that no honest client sends.

use crate::frame::MAX_FRAME;
use crate::protocol::Refusal;
use crate::random::Random;

/// A bad frame, and the refusal that it must get.
pub fn frame(random: &mut Random) -> (Vec<u8>, Refusal) {
    match random.below(7) {
        // A length one too large, and one meant to make the service allocate 4 GiB.
        0 => (length(MAX_FRAME as u32 + 1), Refusal::TooLong),
        1 => (length(u32::MAX), Refusal::TooLong),
        // The longest frame allowed, without meaning.
        2 => {
            let mut body = vec![0; MAX_FRAME];
            random.fill(&mut body);
            body[0] = 200;
            (framed(&body), Refusal::Malformed)
        }
        // Nothing at all.
        3 => (framed(&[]), Refusal::Malformed),
        // An algorithm that does not exist.
        4 => (framed(&[1, 77]), Refusal::Malformed),
        // Half a key's name.
        5 => (framed(&[2, 1, 2, 3, 4, 5, 6, 7, 8]), Refusal::Malformed),
        // A signature said to reach far past the end of the frame.
        _ => {
            let mut body = vec![3; 1 + 16];
            body.extend_from_slice(&[0xff, 0xff, 1, 2, 3]);
            (framed(&body), Refusal::Malformed)
        }
    }
}

fn length(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = length(body.len() as u32);
    frame.extend_from_slice(body);
    frame
}
