//! Numbers, texts and vectors, as docs/CHUNKS.md writes them.

use anyhow::{Context, ensure};
use pco::data_types::Number;
use pco::wrapped::FileDecompressor;

/// Beyond it nothing was written by the backend: a wrong length must not ask for all memory.
const LENGTH_MAX: u64 = 1 << 20;
/// Of the numbers of seven bits that make one of 64.
const NUMBER_BYTES: u32 = 10;

/// What is left to be read.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Reads from the first byte on.
    pub(super) fn of(data: &'a [u8]) -> Bytes<'a> {
        Bytes(data)
    }

    pub(super) fn take(&mut self, length: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("the data end too early")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> anyhow::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> anyhow::Result<u64> {
        let mut number = 0;
        for place in 0..NUMBER_BYTES {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            ensure!(place + 1 < NUMBER_BYTES || bits <= 1, "a number has more than 64 bits");
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        anyhow::bail!("a number has no end")
    }

    /// A `number` that counts something.
    pub(super) fn length(&mut self) -> anyhow::Result<usize> {
        let length = self.number()?;
        ensure!(length <= LENGTH_MAX, "a length of {length}");
        Ok(length as usize)
    }

    pub(super) fn signed(&mut self) -> anyhow::Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn float(&mut self) -> anyhow::Result<f64> {
        let bytes = self.take(8)?.try_into().context("read a float")?;
        Ok(f64::from_le_bytes(bytes))
    }

    pub(super) fn text(&mut self) -> anyhow::Result<String> {
        let length = self.length()?;
        Ok(std::str::from_utf8(self.take(length)?).context("read a text")?.to_owned())
    }

    /// pco's file header, which says how all that follows is packed.
    pub(super) fn header(&mut self) -> anyhow::Result<FileDecompressor> {
        let (header, rest) = FileDecompressor::new(self.0).context("read pco's header")?;
        self.0 = rest;
        Ok(header)
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        ensure!(self.0.is_empty(), "{} bytes are left over", self.0.len());
        Ok(())
    }

    /// A vector of so many.
    pub(super) fn vector(&mut self, header: &FileDecompressor, length: usize) -> anyhow::Result<Vector> {
        if length == 0 {
            return Ok(Vector::Whole(Vec::new()));
        }
        Ok(match self.byte()? {
            0 => Vector::Whole(vec![self.signed()?; length]),
            1 => {
                let mut last = 0i64;
                let mut values = Vec::with_capacity(length);
                for _ in 0..length {
                    last = last.wrapping_add(self.signed()?);
                    values.push(last);
                }
                Vector::Whole(values)
            }
            2 => Vector::Whole(self.packed(header, length)?),
            3 => Vector::Floats(vec![self.float()?; length]),
            4 => Vector::Floats(self.packed(header, length)?),
            other => anyhow::bail!("{other} is no kind of vector"),
        })
    }

    fn packed<T: Number + Default>(&mut self, header: &FileDecompressor, length: usize) -> anyhow::Result<Vec<T>> {
        let bytes = self.length()?;
        let (mut chunk, page) = header.chunk_decompressor::<T, _>(self.take(bytes)?).context("read pco's metadata")?;
        let mut values = vec![T::default(); length];
        let mut page = chunk.page_decompressor(page, length).context("read pco's page")?;
        let progress = page.read(&mut values).context("unpack pco's page")?;
        ensure!(progress.finished && progress.n_processed == length, "pco has other than {length} values");
        ensure!(page.into_src().is_empty(), "pco's page is longer than it says");
        Ok(values)
    }
}

/// Values of one kind.
pub(super) enum Vector {
    Whole(Vec<i64>),
    Floats(Vec<f64>),
}

impl Vector {
    pub(super) fn whole(self) -> anyhow::Result<Vec<i64>> {
        match self {
            Vector::Whole(values) => Ok(values),
            Vector::Floats(_) => anyhow::bail!("floats where whole numbers are expected"),
        }
    }

    pub(super) fn floats(self) -> Vec<f64> {
        match self {
            Vector::Whole(values) => values.into_iter().map(|value| value as f64).collect(),
            Vector::Floats(values) => values,
        }
    }
}
