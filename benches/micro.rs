//! `cargo bench --bench micro`: nanoseconds that the protocol layer takes for each message.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use hushd::ws::deflate::{Deflater, Inflater};
use hushd::ws::extension::{Window, negotiate};
use hushd::ws::handshake::{WebSocketKey, choose_subprotocol};
use hushd::ws::mask::unmask;
use hushd::ws::utf8::Utf8;
use hushd::ws::{Decoder, Frame, Header, Rules};

const RULES: Rules = Rules {
    max_message: 1 << 20,
    max_frames: 1024,
    deflate: true,
};
const SIZES: [usize; 4] = [16, 125, 1_400, 65_536];

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .without_plots();
    payloads(&mut criterion.benchmark_group("payload"));
    frames(&mut criterion.benchmark_group("frame"));
    handshake(&mut criterion.benchmark_group("handshake"));
    deflate(&mut criterion.benchmark_group("deflate"));
    criterion.final_summary();
}

fn payloads(group: &mut BenchmarkGroup<'_, WallTime>) {
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = vec![b'a'; size];
        group.bench_function(format!("unmask {size}"), |bencher| {
            bencher.iter(|| unmask(black_box(&mut payload), [1, 2, 3, 4], 1));
        });
        let ascii = vec![b'a'; size];
        group.bench_function(format!("check ASCII {size}"), |bencher| {
            bencher.iter(|| Utf8::default().push(black_box(&ascii)).is_ok());
        });
        let greek = "κόσμε ".repeat(size / 11 + 1).into_bytes();
        group.bench_function(format!("check Greek {size}"), |bencher| {
            bencher.iter(|| Utf8::default().push(black_box(&greek[..size])).is_ok());
        });
    }
}

/// A client's frame. Its mask is zero, so that decoding it in place leaves it as it was.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Frame::binary(payload).to_vec();
    let header = frame.len() - payload.len();
    frame[0] = first;
    frame[1] |= 0x80;
    frame.splice(header..header, [0; 4]);
    frame
}

/// Decodes a stream in pieces. Returns the number of events.
fn read(decoder: &mut Decoder, stream: &mut [u8], piece: usize) -> usize {
    let mut events = 0;
    for mut input in stream.chunks_mut(piece) {
        while let Ok(Some(event)) = decoder.next(&mut input, &RULES) {
            black_box(event);
            events += 1;
        }
    }
    events
}

fn frames(group: &mut BenchmarkGroup<'_, WallTime>) {
    let long = frame(0x82, &[0; 65_536]);
    for header in [&frame(0x81, b"hello")[..], &long] {
        group.bench_function(format!("parse a header of {}", header.len()), |bencher| {
            bencher.iter(|| Header::parse(black_box(header)));
        });
    }
    let mut decoder = Decoder::default();
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut whole = frame(0x81, &vec![b'a'; size]);
        group.bench_function(format!("decode {size}, whole"), |bencher| {
            bencher.iter(|| read(&mut decoder, black_box(&mut whole), usize::MAX));
        });
        let half = whole.len() / 2 + 1;
        group.bench_function(format!("decode {size}, in two reads"), |bencher| {
            bencher.iter(|| read(&mut decoder, black_box(&mut whole), half));
        });
        let payload = vec![b'a'; size];
        let mut fragments = frame(0x01, &payload[..size / 2]);
        fragments.extend(frame(0x80, &payload[size / 2..]));
        group.bench_function(format!("decode {size}, in two fragments"), |bencher| {
            bencher.iter(|| read(&mut decoder, black_box(&mut fragments), usize::MAX));
        });
    }
    group.throughput(Throughput::Elements(1_000));
    let mut burst = frame(0x81, &[b'a'; 70]).repeat(1_000);
    group.bench_function("decode a thousand of 70 in reads of 16 KiB", |bencher| {
        bencher.iter(|| read(&mut decoder, black_box(&mut burst), 16 * 1024));
    });
}

fn handshake(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.bench_function("key and accept", |bencher| {
        bencher.iter(|| {
            WebSocketKey::parse(black_box(b"dGhlIHNhbXBsZSBub25jZQ==")).map(|key| key.accept())
        });
    });
    group.bench_function("subprotocol", |bencher| {
        let offers = [&b"chat.v1, chat"[..]];
        bencher.iter(|| choose_subprotocol(black_box(offers).into_iter(), &["chat", "chat.v1"]));
    });
    group.bench_function("permessage-deflate", |bencher| {
        let offers = [&b"permessage-deflate; client_max_window_bits"[..]];
        bencher.iter(|| negotiate(black_box(offers).into_iter()));
    });
}

/// Chat as chat.v1 sends it, of about so many bytes.
fn chat(size: usize) -> String {
    let said = "shall we say eight, at the old place by the river? I'll bring the bread and you \
                bring whatever is left of that cheese; Ada says she may be late, so don't wait. ";
    let said: String = said.chars().cycle().take(size.saturating_sub(70)).collect();
    format!(r#"{{"type":"message","seq":48213,"time":1767225600123,"name":"ada","text":"{said}"}}"#)
}

fn deflate(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    for size in [64, 128, 256, 1_024, 16_384] {
        let message = chat(size);
        group.throughput(Throughput::Bytes(message.len() as u64));
        for (window, level) in [(15, 1), (15, 4), (15, 6), (9, 6)] {
            let bits = if window == 9 {
                Window::Bits9
            } else {
                Window::Bits15
            };
            let mut deflater = Deflater::new(bits, level);
            deflater.compress(message.as_bytes(), &mut out);
            let name = format!(
                "compress {} to {}, window {window}, level {level}",
                message.len(),
                out.len()
            );
            group.bench_function(name, |bencher| {
                bencher.iter(|| deflater.compress(black_box(message.as_bytes()), &mut out));
            });
        }
        Deflater::new(Window::Bits15, 6).compress(message.as_bytes(), &mut out);
        group.bench_function(format!("inflate to {}", message.len()), |bencher| {
            bencher.iter(|| inflater.inflate(true, black_box(&out), 1 << 20).is_ok());
        });
    }
}
