//! The content encodings that the probe decodes.

use std::io::Write;

use crate::shapes::{CHAT, events, is_read, openai, ran};
use crate::support::bytes;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut compressed, 4096, 5, 20);
    encoder.write_all(text).expect("written");
    drop(encoder);
    compressed
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("encoded")
}

type Encode = fn(&[u8]) -> Vec<u8>;

#[test]
fn every_content_encoding_is_read() {
    let both: Encode = |text| brotli(&gzip(text));
    let plain: Encode = <[u8]>::to_vec;
    let encodings: [(&str, Encode); 11] = [
        ("gzip", gzip),
        ("X-GZip", gzip),
        ("deflate", zlib),
        ("deflate", deflate),
        ("br", brotli),
        ("zstd", zstd),
        ("gzip, br", both),
        ("identity", plain),
        ("gzip", plain),
        ("", gzip),
        ("", zstd),
    ];
    for (label, encode) in encodings {
        let headers = format!("content-type: text/event-stream\r\ncontent-encoding: {label}\r\n");
        let headers = if label.is_empty() {
            String::new()
        } else {
            headers
        };
        is_read(label, CHAT, move |cached| {
            bytes(
                "200 OK",
                &headers,
                &encode(events(&openai(cached)).as_bytes()),
            )
        });
    }
}

#[test]
fn unknown_and_broken_content_encodings_are_reported() {
    let failed = ran(CHAT, |_| {
        bytes("200 OK", "content-encoding: compress\r\n", b"\x1f\x9dabc")
    });
    assert_eq!(failed.code, Some(1));
    assert!(
        failed.err.contains(
            "error: the answer has the content encoding compress, which the probe cannot decode"
        ),
        "{}",
        failed.err
    );
    let failed = ran(CHAT, |_| {
        bytes(
            "200 OK",
            "content-encoding: gzip\r\n",
            b"\x1f\x8b\x08broken, in the middle",
        )
    });
    assert_eq!(failed.code, Some(1));
    assert!(
        failed
            .err
            .contains("error: the stream broke off after 0 chunks of the answer: "),
        "{}",
        failed.err
    );
}
