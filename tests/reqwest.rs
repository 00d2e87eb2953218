//! The layer around a reqwest client.
#![cfg(feature = "reqwest")]

use std::convert::Infallible;
use std::future::ready;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method};
use reqwest::{Client, Request, Url};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, FromHeaders, HostPattern, KeyExtractor, MergePolicy, SessionAffinityLayer, header,
};
use tower_test::mock;

const KEY: AffinityKey = AffinityKey::from_static("ours");

/// Answers with the values of the affinity header, one per line.
async fn echo(headers: HeaderMap) -> String {
    let values = headers.get_all("x-session-affinity").iter();
    let lines: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
    lines.join("\n")
}

/// Starts a server that stops when the set is dropped, and returns its URL.
async fn serve(servers: &mut JoinSet<()>, app: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    servers.spawn(async move { axum::serve(listener, app).await.unwrap() });
    url.parse().unwrap()
}

/// A client that ignores proxies in the environment.
fn direct() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn request(url: &str) -> Request {
    Request::new(Method::GET, url.parse().unwrap())
}

/// Returns the headers that the layer hands to its inner service.
async fn stamped<K>(layer: &SessionAffinityLayer<K>, request: Request) -> HeaderMap
where
    K: KeyExtractor + Clone,
{
    let client = service_fn(|request: Request| ready(Ok::<_, Infallible>(request)));
    let request = layer.layer(client).oneshot(request).await.unwrap();
    request.headers().clone()
}

/// The policy, our key, the only listed host, the caller's values, and what arrives.
type Row = (
    MergePolicy,
    Option<AffinityKey>,
    Option<&'static str>,
    &'static [&'static str],
    &'static str,
);

#[tokio::test]
async fn each_row_of_the_merge_table_holds_at_the_server() {
    use MergePolicy::{Keep, Replace};
    let mut servers = JoinSet::new();
    let url = serve(&mut servers, Router::new().fallback(echo)).await;
    let (here, elsewhere) = (Some("127.0.0.1"), Some("api.example"));

    #[rustfmt::skip]
    let rows: [Row; 17] = [
        (Keep,    Some(KEY), elsewhere, &[],                   ""),
        (Keep,    Some(KEY), elsewhere, &["theirs"],           ""),
        (Replace, Some(KEY), elsewhere, &["theirs"],           ""),
        (Keep,    Some(KEY), here,      &[],                   "ours"),
        (Replace, Some(KEY), here,      &["theirs"],           "ours"),
        (Keep,    Some(KEY), None,      &["theirs"],           "theirs"),
        (Keep,    None,      None,      &["theirs"],           "theirs"),
        (Keep,    Some(KEY), None,      &[" ", "one", "two"],  "one"),
        (Replace, Some(KEY), None,      &["one", "two"],       "ours"),
        (Replace, None,      None,      &["one", "two"],       ""),
        (Keep,    Some(KEY), None,      &[],                   "ours"),
        (Replace, Some(KEY), None,      &[],                   "ours"),
        (Keep,    Some(KEY), None,      &["", "\t"],           "ours"),
        (Keep,    None,      None,      &[],                   ""),
        (Keep,    None,      None,      &["", " "],            ""),
        (Replace, None,      None,      &[],                   ""),
        (Replace, None,      None,      &[""],                 ""),
    ];
    for (policy, key, hosts, theirs, expected) in rows {
        let row = format!("{policy:?} {key:?} {hosts:?} {theirs:?}");
        let mut layer = SessionAffinityLayer::new().or(key).merge_policy(policy);
        if let Some(host) = hosts {
            layer = layer.only_hosts([HostPattern::from_static(host)]);
        }
        let client = ServiceBuilder::new().layer(layer).service(direct());
        let mut request = request(url.as_str());
        for value in theirs {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append("x-session-affinity", value);
        }
        let response = client.oneshot(request).await.unwrap();
        assert_eq!(response.text().await.unwrap(), expected, "{row}");
    }
}

#[tokio::test]
async fn a_closure_and_an_inbound_header_are_sources_of_keys() {
    let by_path = SessionAffinityLayer::new().or_fn(|req| {
        assert_eq!(req.method(), Method::GET);
        assert_eq!(req.uri().host(), Some("api.example"));
        req.uri().path().strip_prefix("/chats/")?.parse().ok()
    });
    let headers = stamped(&by_path, request("https://api.example/chats/7?stream#top")).await;
    assert_eq!(headers["x-session-affinity"], "7");

    let adopting = SessionAffinityLayer::new().or(FromHeaders::new([header::X_SESSION_ID]));
    let mut inbound = request("https://api.example/");
    let session = HeaderValue::from_static("chat-7");
    inbound.headers_mut().insert("x-session-id", session);
    assert_eq!(
        stamped(&adopting, inbound).await["x-session-affinity"],
        "chat-7"
    );
}

#[cfg(feature = "scope")]
#[tokio::test]
async fn the_scope_is_a_source_of_keys() {
    use tower_session_affinity::FromScope;

    let layer = SessionAffinityLayer::new().or(FromScope);
    let send = || stamped(&layer, request("https://api.example/"));
    assert_eq!(KEY.scope(send()).await["x-session-affinity"], "ours");
    assert!(send().await.is_empty());
}

#[tokio::test]
async fn a_key_in_the_extensions_is_hidden_by_reqwest() {
    let inner = http::Request::get("https://api.example/").extension(KEY);
    let request = Request::try_from(inner.body("").unwrap()).unwrap();
    assert!(
        stamped(&SessionAffinityLayer::new(), request)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn the_host_of_a_url_is_matched_as_it_is_sent() {
    for (pattern, url, is_sent) in [
        ("api.example", "https://API.example./v1", true),
        ("api.example", "https://api.example.evil.com/", false),
        ("api.example", "https://api.example@evil.com/", false),
        ("evil.com", "https://api.example@evil.com/", true),
        ("api.example:443", "https://api.example/", true),
        ("api.example:443", "https://api.example:8443/", false),
        ("api.example:443", "http://api.example:443/", true),
        ("https://api.example", "https://api.example/", true),
        ("https://api.example", "http://api.example:443/", false),
        ("wss://api.example", "wss://api.example/v1/realtime", true),
        ("[2001:db8::7]", "http://[2001:DB8:0::7]:8080/", true),
        ("127.0.0.1", "http://0x7f.1/", true),
        ("xn--bcher-kva.example", "https://Bücher.example/", true),
        ("*.example", "https://bücher.example/größe?q=ä#ö", true),
    ] {
        let host = HostPattern::from_static(pattern);
        let layer = SessionAffinityLayer::new().or(KEY).only_hosts([host]);
        let sent = stamped(&layer, request(url)).await;
        assert_eq!(!sent.is_empty(), is_sent, "{pattern} {url}");
    }
}

#[tokio::test]
async fn a_url_that_is_not_a_uri_has_no_authority() {
    let too_long = format!("https://api.example/{}", "x".repeat(70_000));
    assert!(too_long.parse::<http::Uri>().is_err());

    for url in [
        &too_long,
        "tel:443",
        "data:text/plain,hi",
        "mailto:a@api.example",
        "file:///tmp",
    ] {
        let anywhere = SessionAffinityLayer::new().or_fn(|req| {
            assert_eq!(req.uri().authority(), None);
            Some(KEY)
        });
        assert_eq!(
            stamped(&anywhere, request(url)).await["x-session-affinity"],
            "ours"
        );

        let hosts = ["api.example", "tel", "tel:443"].map(HostPattern::from_static);
        let listed = anywhere.only_hosts(hosts);
        let mut request = request(url);
        let theirs = HeaderValue::from_static("theirs");
        request.headers_mut().insert("x-session-affinity", theirs);
        assert!(stamped(&listed, request).await.is_empty(), "{url:.40}");
    }
}

#[tokio::test]
async fn one_layer_serves_http_and_reqwest_requests() {
    let layer = SessionAffinityLayer::new().or(KEY);
    let client = layer.layer(service_fn(|request: http::Request<()>| {
        ready(Ok::<_, Infallible>(request.into_parts().0.headers))
    }));
    let headers = client.oneshot(http::Request::new(())).await.unwrap();
    assert_eq!(headers["x-session-affinity"], "ours");
    assert_eq!(
        headers,
        stamped(&layer, request("https://api.example/")).await
    );
}

#[test]
fn readiness_is_that_of_the_inner_service() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request, (), _>(SessionAffinityLayer::new());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("overloaded");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "overloaded");
}

#[tokio::test]
async fn reqwest_follows_redirects_below_the_layer() {
    let mut servers = JoinSet::new();
    let other = serve(&mut servers, Router::new().fallback(echo)).await;
    let app = Router::new().route("/", get(Redirect::temporary(other.as_str())));
    let url = serve(&mut servers, app).await;

    let layer = SessionAffinityLayer::new().or(KEY);
    let follows = layer.layer(direct());
    let response = follows.oneshot(request(url.as_str())).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ours");

    let policy = reqwest::redirect::Policy::none();
    let stays = layer.layer(
        Client::builder()
            .no_proxy()
            .redirect(policy)
            .build()
            .unwrap(),
    );
    let response = stays.oneshot(request(url.as_str())).await.unwrap();
    assert!(response.status().is_redirection());
}

#[tokio::test]
async fn reqwest_adds_default_headers_below_the_layer() {
    let mut servers = JoinSet::new();
    let url = serve(&mut servers, Router::new().fallback(echo)).await;
    let default = HeaderValue::from_static("default");
    let headers = HeaderMap::from_iter([(header::X_SESSION_AFFINITY, default)]);
    let builder = Client::builder().no_proxy().default_headers(headers);
    let client = builder.build().unwrap();
    let layer = SessionAffinityLayer::new();
    let elsewhere = HostPattern::from_static("api.example");

    // If the layer sends nothing, reqwest sends its default, even to unlisted hosts and under `Replace`.
    for (layer, expected) in [
        (layer.clone().or(Some(KEY)), "ours"),
        (
            layer.clone().or(Some(KEY)).only_hosts([elsewhere]),
            "default",
        ),
        (layer.clone().or(None), "default"),
        (layer.or(None).merge_policy(MergePolicy::Replace), "default"),
    ] {
        let client = layer.layer(client.clone());
        let response = client.oneshot(request(url.as_str())).await.unwrap();
        assert_eq!(response.text().await.unwrap(), expected, "{layer:?}");
    }
}

#[tokio::test]
async fn a_forward_proxy_sees_the_header_of_a_plain_http_request() {
    let mut servers = JoinSet::new();
    // The proxy answers for every host.
    let proxy = serve(&mut servers, Router::new().fallback(echo)).await;
    let proxy = reqwest::Proxy::http(proxy).unwrap();
    let client = Client::builder().proxy(proxy).build().unwrap();
    let listed = HostPattern::from_static("api.example");
    let layer = SessionAffinityLayer::new().or(KEY).only_hosts([listed]);
    for (url, seen) in [
        ("http://api.example/", "ours"),
        ("http://other.example/", ""),
    ] {
        let client = layer.layer(client.clone());
        let response = client.oneshot(request(url)).await.unwrap();
        assert_eq!(response.text().await.unwrap(), seen, "{url}");
    }
}
