//! The cluster's words, fit for a container's owner.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of what is left.
const MAX: usize = 300;

/// On one line, bounded, without the cluster's own addresses and without UIDs, which mean nothing outside of it.
pub fn plain(words: &str) -> String {
    let mut out = String::new();
    for word in words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        // Some of it may still go.
        if out.len() > 4 * MAX {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        push(&mut out, word);
    }
    let out = without_calls(&out);
    if out.len() <= MAX {
        return out;
    }
    // Programs put their words in front of the cause: it stands at the end.
    let (head, tail) = (out.floor_char_boundary(MAX / 2), out.ceil_char_boundary(out.len() - MAX / 2 + 3));
    format!("{}…{}", &out[..head], &out[tail..])
}

/// What the node's parts say around their words when they call each other: `rpc error: code = NotFound desc = …`.
fn without_calls(text: &str) -> String {
    let mut text = text.strip_prefix("(combined from similar events): ").unwrap_or(text).to_owned();
    while let Some(at) = text.find("rpc error: code = ") {
        let Some(end) = text[at..].find("desc = ") else { break };
        text.replace_range(at..at + end + "desc = ".len(), "");
    }
    text
}

/// Runs that may be an address or a UID are looked at; everything else stays.
fn push(out: &mut String, word: &str) {
    let part_of_name = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '-');
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !part_of_name(c)).unwrap_or(rest.len());
        let end = rest[..end].trim_end_matches([':', '.']).len();
        let (run, after) = rest.split_at(end);
        if is_uid(run) || is_internal(run) {
            out.push('…');
        } else {
            out.push_str(run);
        }
        let punctuation = after.len() - after.trim_start_matches([':', '.']).len();
        let other = after[punctuation..].find(part_of_name).map_or(after.len(), |at| punctuation + at);
        out.push_str(&after[..other]);
        rest = &after[other..];
    }
}

/// Holds 8-4-4-4-12 hexadecimal digits.
fn is_uid(run: &str) -> bool {
    let lengths: Vec<_> = run.trim_matches(['-', '.', ':']).split('-').map(str::len).collect();
    lengths.windows(5).any(|five| five == [8, 4, 4, 4, 12])
}

fn is_internal(run: &str) -> bool {
    let run = run.trim_matches(['.', '-']);
    let four = run.split(':').next().unwrap_or_default();
    if let Ok(four) = four.parse::<Ipv4Addr>() {
        return is_internal_four(four);
    }
    match run.parse() {
        Ok(IpAddr::V4(four)) => is_internal_four(four),
        Ok(IpAddr::V6(six)) => is_internal_six(six),
        Err(_) => false,
    }
}

/// Also 100.64.0.0/10, which clusters use among themselves.
fn is_internal_four(four: Ipv4Addr) -> bool {
    let [first, second, ..] = four.octets();
    four.is_private() || four.is_loopback() || four.is_link_local() || (first == 100 && second & 0xc0 == 64)
}

fn is_internal_six(six: Ipv6Addr) -> bool {
    six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
}
