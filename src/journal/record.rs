//! The bytes of one record: length, CRC-32C, kind, sequence number, payload.
//!
//! All numbers are little-endian; the checksum covers everything but itself, so a length or a kind
//! cannot be damaged without being detected. A record never has the kind 0: zeros mean "nothing
//! written yet", which is what preallocated space looks like. The payload is JSON; this file does
//! not look into it.

/// Bytes in front of a payload: u32 length, u32 checksum, u8 kind, u64 seq.
pub(super) const FRAME_BYTES: usize = 17;

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// The first of a segment.
    Header,
    /// The second of a segment: the whole state.
    Checkpoint,
    /// An event.
    Event,
    /// The cursor of a destination moved.
    Ack,
    /// The content of the overflow slot.
    Slot,
    /// The version counters were set to 0. An older version of this program does not know this
    /// kind, so it treats the rest of the segment as damage.
    Reset,
    /// How far records were acknowledged to callers.
    Mark,
}

impl RecordKind {
    const ALL: [Self; 7] = [
        Self::Header,
        Self::Checkpoint,
        Self::Event,
        Self::Ack,
        Self::Slot,
        Self::Reset,
        Self::Mark,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Checkpoint => 2,
            Self::Event => 3,
            Self::Ack => 4,
            Self::Slot => 5,
            Self::Reset => 6,
            Self::Mark => 7,
        }
    }
}

/// A record that was read and whose checksum is right.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub kind: RecordKind,
    pub seq: u64,
    pub payload: &'a [u8],
    /// Where the next record begins.
    pub end: usize,
}

/// Appends one record.
pub(super) fn write(out: &mut Vec<u8>, kind: RecordKind, seq: u64, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are far below 4 GiB by the limits");
    let [length, seq] = [&length.to_le_bytes()[..], &seq.to_le_bytes()[..]];
    let kind = [kind.code()];
    out.extend_from_slice(length);
    out.extend_from_slice(&checksum(length, &kind, seq, payload).to_le_bytes());
    out.extend_from_slice(&kind);
    out.extend_from_slice(seq);
    out.extend_from_slice(payload);
}

/// Reads the record at an offset; `None` where only zeros follow.
///
/// # Errors
/// What is wrong: the record was cut or changed, or this version does not know its kind.
pub(super) fn read(bytes: &[u8], at: usize) -> Result<Option<Record<'_>>, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((frame, after)) = rest.split_at_checked(FRAME_BYTES) else {
        return if rest.iter().all(|byte| *byte == 0) {
            Ok(None)
        } else {
            Err(format!("a record is cut at byte {at}"))
        };
    };
    let four_bytes = |from: usize| -> [u8; 4] {
        frame[from..from + 4].try_into().expect("four bytes of a whole frame")
    };
    if frame.iter().all(|byte| *byte == 0) {
        return if after.iter().all(|byte| *byte == 0) {
            Ok(None)
        } else {
            Err(format!("bytes after the end of the records at byte {at}"))
        };
    }
    let length = usize::try_from(u32::from_le_bytes(four_bytes(0))).unwrap_or(usize::MAX);
    let payload = after.get(..length).ok_or_else(|| format!("a record is cut at byte {at}"))?;
    let seq = &frame[9..FRAME_BYTES];
    if checksum(&frame[..4], &frame[8..9], seq, payload) != u32::from_le_bytes(four_bytes(4)) {
        return Err(format!("the checksum is wrong at byte {at}"));
    }
    let kind = RecordKind::ALL
        .into_iter()
        .find(|kind| kind.code() == frame[8])
        .ok_or_else(|| format!("a record of unknown kind {} at byte {at}", frame[8]))?;
    let seq = u64::from_le_bytes(seq.try_into().expect("eight bytes of a whole frame"));
    Ok(Some(Record { kind, seq, payload, end: at + FRAME_BYTES + length }))
}

fn checksum(length: &[u8], kind: &[u8], seq: &[u8], payload: &[u8]) -> u32 {
    [length, kind, seq, payload].iter().fold(0, |sum, part| crc32c::crc32c_append(sum, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_records_are_read_back_and_zeros_end_them() {
        let mut bytes = Vec::new();
        write(&mut bytes, RecordKind::Event, 7, b"{}");
        write(&mut bytes, RecordKind::Ack, 8, b"");
        bytes.extend([0; 40]);
        let first = read(&bytes, 0).expect("whole").expect("there");
        assert_eq!((first.kind, first.seq, first.payload), (RecordKind::Event, 7, &b"{}"[..]));
        let second = read(&bytes, first.end).expect("whole").expect("there");
        assert_eq!((second.kind, second.seq, second.payload), (RecordKind::Ack, 8, &b""[..]));
        assert!(read(&bytes, second.end).expect("zeros").is_none());
        let end = second.end;
        bytes.push(1);
        assert!(read(&bytes, end).is_err());
    }

    #[test]
    fn every_changed_bit_is_detected() {
        let mut bytes = Vec::new();
        write(&mut bytes, RecordKind::Event, 7, b"{\"a\":1}");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&changed, 0).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_valid_record_of_an_unknown_kind_is_an_error() {
        let mut bytes = vec![0; FRAME_BYTES];
        bytes[8] = 200;
        let sum = checksum(&bytes[..4], &bytes[8..9], &bytes[9..], b"");
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        assert!(read(&bytes, 0).expect_err("unknown").contains("unknown kind 200"));
    }
}
