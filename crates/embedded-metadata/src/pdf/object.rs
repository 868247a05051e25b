//! PDF's objects in memory: just enough to follow references and read strings.
//!
//! Owns: the grammar of ISO 32000-1, 7.3, bounded in depth and number. Never does: reading files.

use super::super::text as plain;

/// Deepest nesting followed, and most values read in one object.
const MAX_DEPTH: usize = 24;
const MAX_VALUES: usize = 20_000;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Name(String),
    Text(Vec<u8>),
    Number(u64),
    Reference(u64),
    Array(Vec<Value>),
    Dict(Vec<(String, Value)>),
    /// Booleans, null, reals, negative numbers: nothing we follow.
    Other,
}

impl Value {
    /// The value of a dictionary's key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Dict(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A dictionary's number.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// Reads objects one after the other.
pub(super) struct Lexer<'b> {
    bytes: &'b [u8],
    pub(super) at: usize,
    values_left: usize,
}

impl<'b> Lexer<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0, values_left: MAX_VALUES }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'%' {
                while self.peek().is_some_and(|byte| byte != b'\n' && byte != b'\r') {
                    self.at += 1;
                }
            } else if is_space(byte) {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    /// Takes a keyword when it comes next.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes a number when it comes next.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.skip_space();
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = str::from_utf8(&self.rest()[..digits]).ok()?;
        let number = text.parse().ok()?;
        self.at += digits;
        Some(number)
    }

    /// Takes the next object; `None` when there is none or the bounds are met.
    pub(super) fn value(&mut self) -> Option<Value> {
        self.nested(MAX_DEPTH)
    }

    fn nested(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.values_left = self.values_left.checked_sub(1)?;
        self.skip_space();
        match self.peek()? {
            b'/' => Some(Value::Name(self.name())),
            b'(' => Some(Value::Text(self.literal())),
            b'<' if self.rest().starts_with(b"<<") => {
                self.at += 2;
                let mut entries = Vec::new();
                while !self.keyword(">>") {
                    if self.peek()? != b'/' {
                        return None;
                    }
                    let key = self.name();
                    entries.push((key, self.nested(depth)?));
                }
                Some(Value::Dict(entries))
            }
            b'<' => Some(Value::Text(self.hexadecimal())),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.keyword("]") {
                    items.push(self.nested(depth)?);
                }
                Some(Value::Array(items))
            }
            b'0'..=b'9' => Some(self.number_or_reference()),
            byte if is_delimiter(byte) => None,
            _ => {
                self.word();
                Some(Value::Other)
            }
        }
    }

    /// `7`, `7 0 R`, or `7.5`.
    fn number_or_reference(&mut self) -> Value {
        let start = self.at;
        let Some(number) = self.number() else {
            self.word();
            return Value::Other;
        };
        if self.peek() == Some(b'.') {
            self.at = start;
            self.word();
            return Value::Other;
        }
        let after = self.at;
        if self.number().is_some() && self.keyword("R") && self.peek().is_none_or(|byte| !byte.is_ascii_alphanumeric())
        {
            return Value::Reference(number);
        }
        self.at = after;
        Value::Number(number)
    }

    /// Skips a word; at least one byte, so that reading always moves on.
    fn word(&mut self) {
        let len = self.rest().iter().take_while(|&&byte| !is_space(byte) && !is_delimiter(byte)).count();
        self.at += len.max(1);
    }

    fn name(&mut self) -> String {
        self.at += 1;
        let start = self.at;
        self.at += self.rest().iter().take_while(|&&byte| !is_space(byte) && !is_delimiter(byte)).count();
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    fn hexadecimal(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut digits = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
                Some(digit) => digits.push(digit),
                None if byte == b'>' => break,
                None => {}
            }
        }
        digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0)).collect()
    }

    fn literal(&mut self) -> Vec<u8> {
        self.at += 1;
        let (mut out, mut open) = (Vec::new(), 1);
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.escape(&mut out),
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            if open == 0 {
                break;
            }
            if byte != b'\\' {
                out.push(byte);
            }
        }
        out
    }

    fn escape(&mut self, out: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        self.at += 1;
        match byte {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' | b'f' => {}
            b'\r' => self.at += usize::from(self.peek() == Some(b'\n')),
            b'\n' => {}
            b'0'..=b'7' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek() else { break };
                    self.at += 1;
                    code = code << 3 | u32::from(digit - b'0');
                }
                out.push(code.to_le_bytes()[0]);
            }
            other => out.push(other),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

/// A text string: UTF-16 or UTF-8 by its mark, else PDFDocEncoding, which is Latin-1 but for a few signs.
pub(super) fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => plain::utf16(rest, true),
        [0xff, 0xfe, rest @ ..] => plain::utf16(rest, false),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ if bytes.is_ascii() => String::from_utf8_lossy(bytes).into_owned(),
        _ => bytes.iter().map(|&byte| pdf_doc(byte)).collect(),
    }
}

/// PDFDocEncoding (ISO 32000-1, annex D.2).
fn pdf_doc(byte: u8) -> char {
    const LOW: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];
    const HIGH: [char; 33] = [
        '•', '†', '‡', '…', '—', '–', 'ƒ', '⁄', '‹', '›', '−', '‰', '„', '“', '”', '‘', '’', '‚', '™', 'ﬁ', 'ﬂ', 'Ł',
        'Œ', 'Š', 'Ÿ', 'Ž', 'ı', 'ł', 'œ', 'š', 'ž', '\u{9f}', '€',
    ];
    match byte {
        0x18..=0x1f => LOW[usize::from(byte - 0x18)],
        0x80..=0xa0 => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read() {
        let source = br"<< /A 7 0 R /B (x\(y\)\101\n) /C [1 2.5 -3 true <4a4B5>] /D << >> % note
            /E/F/G 12>> 5";
        let mut lexer = Lexer::new(source);
        let value = lexer.value().unwrap();
        assert_eq!(value.get("A"), Some(&Value::Reference(7)));
        assert_eq!(value.get("B"), Some(&Value::Text(b"x(y)A\n".to_vec())));
        let list = vec![Value::Number(1), Value::Other, Value::Other, Value::Other, Value::Text(b"JKP".to_vec())];
        assert_eq!(value.get("C"), Some(&Value::Array(list)));
        assert_eq!(value.get("D"), Some(&Value::Dict(Vec::new())));
        assert_eq!(value.get("E"), Some(&Value::Name("F".to_owned())));
        assert_eq!(value.number("G"), Some(12));
        assert_eq!(lexer.value(), Some(Value::Number(5)));
        assert_eq!(lexer.value(), None);
    }

    #[test]
    fn hostile_objects_end() {
        for source in [&b"<<"[..], b"[", b"(((", b"<", b">>", b"]", b"<< 1 2 >>", b"/", b"{", b"[}"] {
            let mut lexer = Lexer::new(source);
            lexer.value();
            assert!(lexer.at <= source.len() + 1, "{source:?}");
        }
        assert_eq!(Lexer::new(&b"[".repeat(100_000)).value(), None);
        assert_eq!(Lexer::new(&[b"[".to_vec(), b"1 ".repeat(100_000)].concat()).value(), None);
    }

    #[test]
    fn strings_have_three_encodings() {
        assert_eq!(text(b"\xfe\xff\x00C\x01\x0d"), "Cč");
        assert_eq!(text(b"\xef\xbb\xbf\xc4\x8d"), "č");
        assert_eq!(text(b"citt\xe0 \x80 \xa0"), "città • €");
    }
}
