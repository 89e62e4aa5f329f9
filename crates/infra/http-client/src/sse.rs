//! Decodes event streams as they arrive (WHATWG HTML, §9.2.6 "Interpreting an event stream").
//!
//! Pure: bytes in, events out, however the bytes are cut. It never reconnects, so the `retry` field has no use here.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` when the stream gives none.
    pub kind: String,
    /// Its data, lines joined by `\n`.
    pub data: String,
    /// The last id that the stream gave, for resuming after it; empty when it gave none.
    pub id: String,
}

/// An event that is larger than the decoder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {cap} bytes")]
pub struct EventTooLarge {
    /// The size allowed, in bytes.
    pub cap: usize,
}

/// The state between two pieces of a stream.
#[derive(Debug)]
pub struct Decoder {
    cap: usize,
    line: Vec<u8>,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Nothing was decoded yet: a byte order mark may follow.
    at_start: bool,
    kind: String,
    data: String,
    id: String,
}

impl Decoder {
    /// A decoder at the start of a stream, for events of up to `cap` bytes.
    pub const fn new(cap: usize) -> Self {
        Self {
            cap,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            kind: String::new(),
            data: String::new(),
            id: String::new(),
        }
    }

    /// The next event in `bytes`, which is moved past it; `None` once all of them are taken.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, EventTooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + self.data.len() + part.len() > self.cap {
                return Err(EventTooLarge { cap: self.cap });
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else {
                *bytes = &[];
                break;
            };
            self.after_cr = bytes[end] == b'\r';
            *bytes = &bytes[end + 1..];
            if let Some(event) = self.end_of_line() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let mark = if std::mem::take(&mut self.at_start) { "\u{feff}" } else { "" };
        let line = line.strip_prefix(mark).unwrap_or(&line);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // A comment has an empty name; other names are not for us.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        let kind = if kind.is_empty() { "message".to_owned() } else { kind };
        Some(Event { kind, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests;
