//! The least of RESP2 that talks to Redis: commands out, replies in, pipelined where asked.
//! For measuring only: replies are counted, not understood.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A reply.
#[derive(Debug)]
pub enum Reply {
    Number(i64),
    /// Simple and bulk strings; `None` for nil.
    Text(Option<Vec<u8>>),
    List(Vec<Reply>),
}

/// A connection to Redis.
pub struct Redis {
    stream: BufReader<TcpStream>,
}

/// One command in its wire form.
pub fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

impl Redis {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream) })
    }

    pub async fn call(&mut self, words: &[&[u8]]) -> anyhow::Result<Reply> {
        let mut out = Vec::with_capacity(256);
        encode(&mut out, words);
        self.send(&out).await?;
        self.reply().await
    }

    /// Sends what [`encode`] made; the replies are for the caller to read.
    pub async fn send(&mut self, commands: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.get_mut().write_all(commands).await?)
    }

    pub async fn reply(&mut self) -> anyhow::Result<Reply> {
        let (kind, text) = self.line().await?;
        if kind != b'*' {
            return self.single(kind, &text).await;
        }
        let mut list = Vec::new();
        for _ in 0..text.parse::<usize>()? {
            let (kind, text) = self.line().await?;
            list.push(self.single(kind, &text).await?);
        }
        Ok(Reply::List(list))
    }

    async fn single(&mut self, kind: u8, text: &str) -> anyhow::Result<Reply> {
        match kind {
            b':' => Ok(Reply::Number(text.parse()?)),
            b'+' => Ok(Reply::Text(Some(text.as_bytes().to_vec()))),
            b'$' if text == "-1" => Ok(Reply::Text(None)),
            b'$' => {
                let mut bytes = vec![0; text.parse::<usize>()? + 2];
                self.stream.read_exact(&mut bytes).await?;
                bytes.truncate(bytes.len() - 2);
                Ok(Reply::Text(Some(bytes)))
            }
            _ => bail!("redis: {text}"),
        }
    }

    async fn line(&mut self) -> anyhow::Result<(u8, String)> {
        let mut line = String::new();
        anyhow::ensure!(self.stream.read_line(&mut line).await? > 0, "redis closed");
        let kind = *line.as_bytes().first().context("an empty line")?;
        Ok((kind, line[1..].trim_end().to_owned()))
    }

    /// The bare connection, for subscribers.
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}
