//! A reference inflater for tests, deliberately naive: it reads a bit at a time and has no limits. It
//! follows Mark Adler's `puff`. The fuzz targets share this file.

/// The result of inflating a payload.
#[derive(Debug, PartialEq)]
pub(super) struct Inflated {
    pub(super) bytes: Vec<u8>,
    /// The longest distance of a match, in bytes.
    pub(super) furthest: usize,
}

/// Inflates a message's payload. `None` if it does not consist of complete blocks.
pub(super) fn inflate(payload: &[u8]) -> Option<Inflated> {
    let mut message = BitReader::new(payload);
    if payload.is_empty() || message.blocks() == Some(()) {
        return Some(message.inflated);
    }
    let tail_and_end = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];
    let mut message = BitReader::new(&[payload, &tail_and_end].concat());
    message.silent_from = payload.len() * 8;
    message.blocks()?;
    Some(message.inflated)
}

struct BitReader {
    bytes: Vec<u8>,
    /// The position, in bits.
    at: usize,
    /// The position, in bits, after which there must be no output.
    silent_from: usize,
    /// Where the output of the current blocks begins. Matches cannot reach before it, because a final block
    /// ends the window.
    reach_from: usize,
    inflated: Inflated,
}

/// A prefix code of 1 to 15 bits: the symbols of each length, in order (RFC 1951, section 3.2.2).
type Codes = [Vec<u16>; 16];

impl BitReader {
    fn new(bytes: &[u8]) -> BitReader {
        let inflated = Inflated {
            bytes: vec![],
            furthest: 0,
        };
        BitReader {
            bytes: bytes.to_vec(),
            at: 0,
            silent_from: usize::MAX,
            reach_from: 0,
            inflated,
        }
    }

    /// Reads blocks up to a final block that ends with the last byte.
    fn blocks(&mut self) -> Option<()> {
        loop {
            let last = self.bits(1)? == 1;
            match self.bits(2)? {
                0 => self.stored()?,
                1 => {
                    let lengths: Vec<u8> =
                        [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
                    self.symbols(&codes(&lengths)?, &codes(&[5; 32])?)?;
                }
                2 => self.dynamic()?,
                _ => return None,
            }
            if last {
                self.at = self.at.next_multiple_of(8);
                self.reach_from = self.inflated.bytes.len();
                if self.at == self.bytes.len() * 8 {
                    return Some(());
                }
            }
        }
    }

    fn bits(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for bit in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    fn put(&mut self, byte: u8) -> Option<()> {
        self.inflated.bytes.push(byte);
        (self.at <= self.silent_from).then_some(())
    }

    fn stored(&mut self) -> Option<()> {
        self.at = self.at.next_multiple_of(8);
        let (length, complement) = (self.bits(16)?, self.bits(16)?);
        if length != !complement & 0xffff {
            return None;
        }
        for _ in 0..length {
            let byte = self.bits(8)?;
            self.put(byte as u8)?;
        }
        Some(())
    }

    fn dynamic(&mut self) -> Option<()> {
        let (literals, distances) = (257 + self.bits(5)?, 1 + self.bits(5)?);
        let count = 4 + self.bits(4)?;
        if literals > 286 || distances > 30 {
            return None;
        }
        let mut lengths = [0; 19];
        let order = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        for &symbol in &order[..count] {
            lengths[symbol] = self.bits(3)? as u8;
        }
        let of_lengths = codes(&lengths)?;
        if of_lengths[1].len() == 1 && lengths.iter().filter(|length| **length > 0).count() == 1 {
            return None; // a single code has to be complete here, unlike below
        }
        let mut lengths = vec![];
        while lengths.len() < literals + distances {
            let (value, times) = match self.symbol(&of_lengths)? {
                16 => (*lengths.last()?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (length as u8, 1),
            };
            lengths.extend(vec![value; times]);
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return None;
        }
        let (literals, distances) = lengths.split_at(literals);
        self.symbols(&codes(literals)?, &codes(distances)?)
    }

    fn symbols(&mut self, literals: &Codes, distances: &Codes) -> Option<()> {
        loop {
            let length = match self.symbol(literals)? {
                literal @ 0..=255 => {
                    self.put(literal as u8)?;
                    continue;
                }
                256 => return Some(()),
                short @ 257..=264 => short - 254,
                285 => 258,
                long @ 265..=284 => {
                    let extra = (long - 261) / 4;
                    ((4 + (long - 265) % 4) << extra) + 3 + self.bits(extra)?
                }
                _ => return None,
            };
            let distance = match self.symbol(distances)? {
                near @ 0..=3 => near + 1,
                far @ 4..=29 => {
                    let extra = far / 2 - 1;
                    ((2 + far % 2) << extra) + 1 + self.bits(extra)?
                }
                _ => return None,
            };
            self.inflated.furthest = self.inflated.furthest.max(distance);
            if distance > self.inflated.bytes.len() - self.reach_from {
                return None;
            }
            for _ in 0..length {
                self.put(self.inflated.bytes[self.inflated.bytes.len() - distance])?;
            }
        }
    }

    fn symbol(&mut self, codes: &Codes) -> Option<usize> {
        let (mut code, mut first) = (0, 0);
        for symbols in &codes[1..] {
            code |= self.bits(1)?;
            if let Some(symbol) = symbols.get(code - first) {
                return Some(usize::from(*symbol));
            }
            first = (first + symbols.len()) << 1;
            code <<= 1;
        }
        None
    }
}

/// Builds the prefix code for symbols of these lengths. `None` if the code is over-subscribed, and if it is
/// incomplete, except for a single code of one bit.
fn codes(lengths: &[u8]) -> Option<Codes> {
    let mut codes = Codes::default();
    for (symbol, &length) in lengths.iter().enumerate() {
        codes[usize::from(length)].push(symbol as u16);
    }
    let mut left = 1i32;
    for symbols in &codes[1..] {
        left = 2 * left - symbols.len() as i32;
        if left < 0 {
            return None;
        }
    }
    let used = lengths.len() - codes[0].len();
    let only_one = used == 1 && codes[1].len() == 1;
    (left == 0 || used == 0 || only_one).then_some(codes)
}
