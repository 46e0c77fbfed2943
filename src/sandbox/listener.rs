//! The listening socket, with a gate on each connection: a handler can make its own answer vanish, break or stop
//! half-way, as networks do.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const OPEN: u64 = 0;
const CLOSED: u64 = 1;
const RESET: u64 = 2;
/// From here on: truncated, holding back the rest minus this number of bytes.
const TRUNCATED: u64 = 16;

/// What the next write of a connection does.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU64>);

impl Gate {
    /// The answer is dropped and the connection closed.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// The answer is dropped and the connection reset.
    pub fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// The answer stops `held_back` bytes before its end.
    pub fn truncate(&self, held_back: usize) {
        self.0.store(TRUNCATED.saturating_add(held_back as u64), Ordering::Release);
    }
}

/// A TCP connection behind its gate.
#[derive(Debug)]
pub struct Io {
    stream: TcpStream,
    gate: Gate,
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.gate.0.load(Ordering::Acquire) {
            OPEN => Pin::new(&mut self.stream).poll_write(cx, buf),
            CLOSED => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            RESET => {
                // With no lingering the kernel answers the peer with RST instead of FIN.
                let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            held_back => {
                let held_back = usize::try_from(held_back - TRUNCATED).unwrap_or(usize::MAX);
                let kept = buf.get(..buf.len().saturating_sub(held_back)).unwrap_or_default();
                let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, kept));
                self.gate.close();
                Poll::Ready(written)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Accepts connections; each comes with its [`Gate`].
#[derive(Debug)]
pub struct Listener(pub TcpListener);

impl axum::serve::Listener for Listener {
    type Io = Io;
    type Addr = Gate;

    async fn accept(&mut self) -> (Io, Gate) {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let gate = Gate::default();
                    return (Io { stream, gate: gate.clone() }, gate);
                }
                // Out of descriptors, or a peer that gave up: wait a little, as axum does.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Gate> {
        Ok(Gate::default())
    }
}

impl Connected<IncomingStream<'_, Listener>> for Gate {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Gate {
        stream.remote_addr().clone()
    }
}

/// Binds `address` and tells the port it got.
pub async fn bind(address: SocketAddr) -> io::Result<(Listener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    Ok((Listener(listener), local))
}
