//! Nothing that the crate prints shows any part of a secret or of a raw id.
#![cfg(feature = "hmac")]

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "tracing")]
use http::{Extensions, HeaderMap, Method, Uri};
use http::{HeaderValue, Request};
use tower::Layer;
use tower_session_affinity::rules::HeaderRules;
use tower_session_affinity::{
    AffinityKey, AffinitySecret, Destination, Destinations, FromCookie, FromExtension, FromHeaders,
    FromParent, HostPattern, KeyExtractor, MergePolicy, NoAffinity, Or, Outcome, ParentKey,
    RequestHead, SessionAffinityLayer, from_fn, header,
};

#[cfg(feature = "tracing")]
#[path = "support/log.rs"]
mod log;

const SECRET: &str = "the-quick-brown-fox-jumps-over-13-lazy-dogs";
const RAW_ID: &str = "alice.liddell@wonderland.test";

/// Text that the crate printed, and the type that it is about.
struct Output {
    about: &'static str,
    text: String,
}

fn debug(about: &'static str, value: &impl Debug) -> Output {
    let text = format!("{value:?}\n{value:#?}");
    Output { about, text }
}

fn error<T>(about: &'static str, result: Result<T, impl Error>) -> Output {
    let error = result.err().expect("an error");
    let text = format!("{error}\n{error:?}\n{:?}", error.source());
    Output { about, text }
}

fn secret() -> AffinitySecret {
    AffinitySecret::new(SECRET.as_bytes()).expect("a secret")
}

fn key() -> AffinityKey {
    RAW_ID.parse().expect("a key")
}

/// Returns the `Debug` output of every type, built from the secret and the raw id if it can be.
fn debug_output() -> Vec<Output> {
    let raw = HeaderValue::from_static(RAW_ID);
    let uri = format!("https://host.example/?user={RAW_ID}");
    let request = Request::get(uri).header("x-user-id", raw).extension(key());
    let request = request.body(()).expect("a request");
    let head = RequestHead::from(&request);

    let captured = key();
    let closure = from_fn(move |_| Some(captured.clone()));
    let headers = FromHeaders::new([header::X_SESSION_ID]);
    let layer = SessionAffinityLayer::new().or(closure.clone()).or(key());
    let layer = layer.only_hosts([HostPattern::from_static("host.example")]);
    let layer = layer.adopt(header::CALLER_SESSIONS).on_outcome(|_, _| {});
    let layer = layer.destinations(Destinations::known());
    let rules = HeaderRules {
        name: header::X_SESSION_ID,
        policy: MergePolicy::Keep,
        only_hosts: Some([HostPattern::from_static("host.example")].into()),
    };
    let derived = FromHeaders::new([header::X_SESSION_ID]).derived(secret());
    let per_host = layer.clone().derive_per_host(secret());
    let for_label = layer.derive_for(secret(), "label");

    vec![
        debug("AffinityKey", &key()),
        debug("AffinityKey", &closure.extract(head)),
        debug("AffinityKey", &secret().key_for([RAW_ID])),
        debug("AffinitySecret", &secret()),
        debug("HeaderRules", &rules),
        debug("DerivedFromHeaders", &derived),
        debug("FromCookie", &FromCookie::new("sid")),
        debug(
            "DerivedFromCookie",
            &FromCookie::new("sid").expect("a name").derived(secret()),
        ),
        debug("Destination", &Destination::none("host.example")),
        debug("Destinations", &Destinations::known()),
        debug("FromExtension", &FromExtension),
        debug("FromFn", &closure),
        debug("FromHeaders", &headers),
        debug("FromParent", &FromParent),
        debug("HostPattern", &HostPattern::from_static("host.example")),
        debug("MergePolicy", &MergePolicy::Keep),
        debug("NoAffinity", &NoAffinity),
        debug("Or", &Or::new(key(), closure)),
        debug("Outcome", &Outcome::Stamped),
        debug("ParentKey", &ParentKey(key())),
        debug("RequestHead", &head),
        debug("SessionAffinity", &per_host.layer("the inner service")),
        debug("SessionAffinityLayer", &per_host),
        debug("SessionAffinityLayer", &for_label),
    ]
}

/// Returns every kind of error, caused by the secret or the raw id.
fn error_output() -> Vec<Output> {
    const KEY: &str = "InvalidAffinityKey";
    const HOST: &str = "InvalidHostPattern";
    const ROW: &str = "InvalidDestination";
    const BAD_SECRET: &str = "InvalidAffinitySecret";
    vec![
        error(KEY, AffinityKey::try_from("")),
        error(KEY, AffinityKey::try_from(format!("{RAW_ID}, chat"))),
        error(KEY, AffinityKey::try_from(RAW_ID.repeat(9))),
        error(HOST, HostPattern::try_from("")),
        error(HOST, HostPattern::try_from(RAW_ID)),
        error(HOST, HostPattern::try_from(&*format!("*.*.{RAW_ID}"))),
        error(HOST, HostPattern::try_from(&*format!("[{RAW_ID}]"))),
        error(HOST, HostPattern::try_from("*.127.0.0.1")),
        error(HOST, HostPattern::try_from(&*format!("{SECRET}.."))),
        error(HOST, HostPattern::try_from(&*format!("{SECRET}:0"))),
        error(
            HOST,
            HostPattern::try_from(&*format!("{SECRET}.").repeat(9)),
        ),
        error("InvalidCookieName", FromCookie::new(&format!("{RAW_ID} "))),
        error(ROW, Destination::none(RAW_ID)),
        error(
            ROW,
            Destination::header("host.example", format!("{RAW_ID} ")),
        ),
        error(
            ROW,
            Destination::body_field("host.example", &format!("\"{RAW_ID}")),
        ),
        error(
            ROW,
            Destination::from_static("host.example", "x-id").path_suffixes([RAW_ID]),
        ),
        error(BAD_SECRET, AffinitySecret::new(&SECRET.as_bytes()[..31])),
        error(BAD_SECRET, AffinitySecret::from_hex(SECRET)),
        error(
            BAD_SECRET,
            AffinitySecret::from_hex(&hexadecimal(SECRET)[..33]),
        ),
        error(
            BAD_SECRET,
            AffinitySecret::from_base64(&format!("{SECRET}*")),
        ),
        error(
            BAD_SECRET,
            AffinitySecret::from_base64(&hexadecimal(SECRET)),
        ),
    ]
}

/// Returns the output of the types of `body-field`, with the key in a body that is being sent.
#[cfg(feature = "body-field")]
fn body_output() -> Vec<Output> {
    use http_body_util::Full;
    use tower::{Service, service_fn};
    use tower_session_affinity::{FieldBody, PromptCacheKeyLayer};

    let layer = PromptCacheKeyLayer::new().or(key()).on_outcome(|_, _| {});
    let keep = |request: Request<FieldBody<Full<bytes::Bytes>>>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(request))
    };
    let request = Request::post("https://api.openai.com/v1/responses")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"model":"m"}"#))
        .expect("a request");
    let sent = tokio_test::block_on(layer.layer(service_fn(keep)).call(request));
    vec![
        debug("PromptCacheKeyLayer", &layer),
        debug("PromptCacheKey", &layer.layer("the inner service")),
        debug("FieldBody", sent.expect("infallible").body()),
    ]
}

/// Returns the output of the types of `scope`.
#[cfg(feature = "scope")]
fn scope_output() -> Vec<Output> {
    use std::{convert::Infallible, future::ready};
    use tower::{Service, service_fn};
    use tower_session_affinity::{AffinityScopeLayer, FromScope};

    let layer = AffinityScopeLayer::new().or(key());
    let answer = |_: Request<()>| ready(Ok::<_, Infallible>(http::Response::new(())));
    let future = layer.layer(service_fn(answer)).call(Request::new(()));
    let future_output = debug("ScopedResponseFuture", &future);
    let response = tokio_test::block_on(future).expect("infallible");
    vec![
        debug("FromScope", &FromScope),
        debug("AffinityScopeLayer", &layer),
        debug("AffinityScope", &layer.layer("the inner service")),
        debug("Scoped", &key().scope(ready(()))),
        debug("Scoped", &ParentKey(key()).scope(ready(()))),
        debug("ScopedBody", response.body()),
        future_output,
    ]
}

/// Returns the log at every level while the raw id is sent from a caller's header, an extension and a
/// fallback, with and without derivation.
#[cfg(feature = "tracing")]
fn tracing_output() -> Vec<Output> {
    use tracing_subscriber::filter::LevelFilter;

    let plain = SessionAffinityLayer::new().or(key());
    let text = log::logged(LevelFilter::TRACE, || {
        for uri in ["https://host.example/", "/"] {
            let mut with_header = HeaderMap::new();
            with_header.insert(header::X_SESSION_AFFINITY, HeaderValue::from_static(RAW_ID));
            let mut extensions = Extensions::new();
            extensions.insert(key());
            for layer in [plain.clone(), plain.clone().derive_per_host(secret())] {
                for mut headers in [with_header.clone(), HeaderMap::new()] {
                    let uri = Uri::from_static(uri);
                    layer.stamp(&Method::POST, &uri, &mut headers, &extensions);
                }
            }
        }
    });
    assert!(
        text.lines().count() >= 7,
        "expected at least 7 events:\n{text}"
    );
    vec![Output {
        about: "Outcome",
        text,
    }]
}

fn hexadecimal(text: &str) -> String {
    join(text.as_bytes(), "", |byte| format!("{byte:02x}"))
}

fn join(bytes: &[u8], separator: &str, spell: impl FnMut(&u8) -> String) -> String {
    let spelled: Vec<_> = bytes.iter().map(spell).collect();
    spelled.join(separator)
}

/// Returns all pieces of five bytes, in each way that bytes can be printed.
fn pieces(text: &str) -> Vec<String> {
    let spell = |piece: &[u8]| {
        let text = String::from_utf8(piece.to_vec()).expect("ASCII");
        let hex = hexadecimal(&text);
        [
            text,
            hex.to_uppercase(),
            hex,
            join(piece, ", ", u8::to_string),
        ]
    };
    text.as_bytes().windows(5).flat_map(spell).collect()
}

/// Returns the first of these pieces that the text shows, ignoring line breaks.
fn shown<'a>(text: &str, pieces: &'a [String]) -> Option<&'a String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    pieces.iter().find(|piece| line.contains(*piece))
}

fn outputs() -> Vec<Output> {
    [
        debug_output(),
        error_output(),
        #[cfg(feature = "scope")]
        scope_output(),
        #[cfg(feature = "body-field")]
        body_output(),
        #[cfg(feature = "tracing")]
        tracing_output(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn no_output_shows_any_part_of_the_secret_or_of_the_raw_id() {
    let hidden = [pieces(SECRET), pieces(RAW_ID)].concat();
    for Output { about, text } in outputs() {
        assert_eq!(
            shown(&text, &hidden),
            None,
            "expected nothing hidden in the output of {about}:\n{text}"
        );
    }
}

#[test]
fn the_debug_output_of_a_secret_is_only_its_type() {
    assert_eq!(format!("{:?}", secret()), "AffinitySecret(..)");
}

#[test]
fn the_search_finds_unredacted_output() {
    let hidden = pieces(SECRET);
    let bytes = SECRET.as_bytes();
    for text in [
        format!("{:?}", &SECRET[..5]),
        format!("{:?}", Some(&bytes[..9])),
        format!("{:#?}", Some(&bytes[..9])),
        hexadecimal(SECRET),
    ] {
        assert!(
            shown(&text, &hidden).is_some(),
            "expected a piece of the secret in {text}"
        );
    }
}

/// Returns the names of the public types in the files of a folder.
fn public_types(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let has_feature = |path: &PathBuf| match path.file_stem().and_then(OsStr::to_str) {
        Some("scope") => cfg!(feature = "scope"),
        Some("body") => cfg!(feature = "body-field"),
        _ => true,
    };
    let of_path = |path: PathBuf| {
        if path.is_dir() {
            return public_types(&path);
        }
        let text = fs::read_to_string(path).expect("text");
        let types = text.lines().filter_map(|line| {
            let line = line.trim_start();
            let item = line
                .strip_prefix("pub struct ")
                .or_else(|| line.strip_prefix("pub enum "))?;
            item.split(|letter: char| !letter.is_alphanumeric()).next()
        });
        types.map(str::to_owned).collect()
    };
    paths.filter(has_feature).flat_map(of_path).collect()
}

/// Fails if a new type is missing in the lists above.
#[test]
fn every_public_type_is_searched() {
    let outputs = outputs();
    let types = public_types(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(!types.is_empty());
    for item in types {
        let searched = outputs.iter().any(|output| output.about == item);
        assert!(
            searched,
            "the output of `{item}` is not searched: add it to the lists above"
        );
    }
}
