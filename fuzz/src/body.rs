//! What the body layer sends: an oracle that reads the top level of a JSON text by index.

/// The text that is sent, and the outcome that is reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub text: Vec<u8>,
    pub outcome: &'static str,
}

/// The end of an object that does not have the field.
struct End {
    brace: usize,
    is_empty: bool,
}

/// Returns what a layer sends for this text, with a key that needs no escapes.
#[must_use]
pub fn judge(text: &[u8], field: &str, key: &str) -> Expected {
    let member = format!("\"{field}\":\"{key}\"");
    let (text, outcome) = match (Reader { text, at: 0 }).object(field) {
        _ if text.is_empty() => (Vec::new(), "not_json"),
        Ok(End { brace, is_empty }) => {
            let separator = if is_empty { " " } else { "," };
            let (before, end) = text.split_at(brace);
            let parts = [before, separator.as_bytes(), member.as_bytes(), end];
            (parts.concat(), "stamped")
        }
        Err(outcome) => {
            let spaces = vec![b' '; member.len() + 1];
            ([text, &spaces].concat(), outcome)
        }
    };
    Expected { text, outcome }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, &'static str>;

const BROKEN: &str = "not_an_object";

impl Reader<'_> {
    fn object(&mut self, field: &str) -> Read<End> {
        if self.text.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self.skip_space();
        self.expect(b'{')?;
        self.skip_space();
        let is_empty = self.peek() == Some(b'}');
        if !is_empty {
            self.members(field)?;
        }
        let brace = self.at;
        self.expect(b'}')?;
        self.skip_space();
        match self.peek() {
            None => Ok(End { brace, is_empty }),
            Some(_) => Err(BROKEN),
        }
    }

    fn members(&mut self, field: &str) -> Read<()> {
        loop {
            self.member(field)?;
            self.skip_space();
            if self.peek() != Some(b',') {
                return Ok(());
            }
            self.at += 1;
            self.skip_space();
        }
    }

    fn member(&mut self, field: &str) -> Read<()> {
        self.expect(b'"')?;
        let begin = self.at;
        while !matches!(self.peek(), Some(b'"' | b'\\')) {
            self.next()?;
        }
        if self.peek() == Some(b'\\') || self.text[begin..self.at] == *field.as_bytes() {
            return Err("kept");
        }
        self.at += 1;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        self.value()
    }

    fn value(&mut self) -> Read<()> {
        let begin = self.at;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => self.nested(),
            _ => {
                while self.peek().is_some_and(is_scalar) {
                    self.at += 1;
                }
                if self.at == begin {
                    Err(BROKEN)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn nested(&mut self) -> Read<()> {
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                _ => match self.next()? {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    byte if is_scalar(byte) || is_space(byte) || byte == b',' || byte == b':' => {}
                    _ => return Err(BROKEN),
                },
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn string(&mut self) -> Read<()> {
        self.expect(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => drop(self.next()?),
                _ => {}
            }
        }
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.next()? == byte {
            Ok(())
        } else {
            Err(BROKEN)
        }
    }

    fn next(&mut self) -> Read<u8> {
        let byte = self.peek().ok_or(BROKEN)?;
        self.at += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

fn is_space(byte: u8) -> bool {
    b" \t\r\n".contains(&byte)
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}
