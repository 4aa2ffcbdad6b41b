//! Frames: a length (four bytes, big-endian) and a body of at most 64 KiB.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest body that is read or written.
pub const MAX_FRAME: usize = 64 * 1024;

/// Bytes of the length before a body.
pub const HEADER: usize = 4;

/// Why no frame could be read.
#[derive(Debug)]
pub enum FrameError {
    /// The announced body is longer than [`MAX_FRAME`].
    TooLong,
    /// The connection failed, or ended inside a frame.
    Io(io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        FrameError::Io(error)
    }
}

/// Reads one body; `None` if the peer closed the connection between two frames.
pub async fn read_frame<R>(from: &mut R) -> Result<Option<Vec<u8>>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut header = [0; HEADER];
    let first = from.read(&mut header).await?;
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[first..]).await?;
    // The bound comes before the allocation: a length alone must not cost memory.
    let length = usize::try_from(u32::from_be_bytes(header)).map_err(|_| FrameError::TooLong)?;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(Some(body))
}

/// Writes a frame made by `encode`.
pub async fn write_frame<W>(to: &mut W, frame: &[u8]) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    to.write_all(frame).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_frame_is_refused_before_its_body() {
        let length = u32::try_from(MAX_FRAME + 1).unwrap_or(0).to_be_bytes();
        let read = read_frame(&mut &length[..]).await;
        assert!(matches!(read, Err(FrameError::TooLong)));
        assert!(matches!(read_frame(&mut &b""[..]).await, Ok(None)));
        assert!(matches!(read_frame(&mut &b"\0\0"[..]).await, Err(FrameError::Io(_))));
    }
}
