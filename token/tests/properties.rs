//! Random interleavings of requests, responses, failures and drops, compared with a plain model.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use http::{Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::sync::oneshot;
use tokio_test::task::{Spawn, spawn};
use tower::service_fn;
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header::X_SESSION_TOKEN};
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::AffinityKey;

/// The spellings of each origin.
const AUTHORITIES: [&[&str]; 4] = [
    &[
        "https://a.example/",
        "https://A.Example.:443/v1",
        "https://u@a.example/",
    ],
    &[
        "http://a.example/",
        "http://a.example:80/?q",
        "http://A.EXAMPLE./",
    ],
    &["https://b.example:8443/", "https://B.example.:8443/"],
    &["http://b.example:8443/", "ws://b.example:8443/"],
];
const KEYS: [&str; 3] = ["chat-1", "chat-2", "chat-11"];

type Place = (usize, usize);
type Answer = Result<Response<()>, &'static str>;
type Pending = Pin<Box<dyn Future<Output = Answer>>>;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Sends a request to a spelling of an origin, with or without the caller's own token.
    Send {
        place: Place,
        spelling: Index,
        own: bool,
    },
    /// Polls a request that has no response yet.
    Poll(Index),
    /// Answers a request, perhaps with a token.
    Answer {
        which: Index,
        status: u16,
        issued: Issued,
    },
    Fail(Index),
    /// Drops a request that was polled.
    Drop(Index),
    /// Drops a request that may never have been polled.
    DropUnpolled(Index),
    /// Answers a request and drops it before it is polled again.
    AnswerAndDrop(Index),
}

#[derive(Clone, Copy, Debug)]
enum Issued {
    New,
    Received,
    /// A token that was issued to the session before, as a gateway does whose tokens name replicas.
    Old(Index),
    Nothing,
}

/// A request in flight.
struct InFlight {
    place: Place,
    received: Option<String>,
    is_own: bool,
    is_polled: bool,
    /// The number of tokens that were forgotten before it was sent.
    moment: usize,
    answer: oneshot::Sender<Answer>,
    future: Spawn<Pending>,
}

/// What a layer should remember, written from its documentation and not from its code.
#[derive(Default)]
struct Model {
    tokens: HashMap<Place, String>,
    /// The tokens that were issued to each session.
    issued: HashMap<Place, Vec<String>>,
    /// The consecutive failures of each token.
    failures: HashMap<(Place, String), usize>,
    /// The tokens that were forgotten, in order.
    forgotten: Vec<(Place, String)>,
}

impl Model {
    /// Returns a new token that says which origin issued it to which key.
    fn issue(&mut self, place: Place) -> String {
        let (authority, key) = place;
        let issued = self.issued.entry(place).or_default();
        let token = format!("authority {authority}, key {key}, number {}", issued.len());
        issued.push(token.clone());
        token
    }

    fn answered(&mut self, request: &InFlight, status: u16, token: Option<String>) {
        if request.is_own {
            return;
        }
        let is_dead = [404, 410, 503].contains(&status);
        match token.filter(|token| Some(token) != request.received.as_ref()) {
            Some(token) => {
                if let Some(received) = request.received.clone().filter(|_| is_dead) {
                    self.forget(request.place, received);
                }
                self.remember(request, status, is_dead, token);
            }
            None => self.settle(request, status, is_dead),
        }
    }

    /// A response brings a token that its request did not carry.
    fn remember(&mut self, request: &InFlight, status: u16, is_dead: bool, token: String) {
        let named = (request.place, token);
        self.failures.remove(&named);
        if self.forgotten[request.moment..].contains(&named) {
            if !is_dead {
                self.settle(request, status, false);
            }
        } else {
            self.tokens.insert(request.place, named.1);
        }
    }

    /// A response brings no new token.
    fn settle(&mut self, request: &InFlight, status: u16, is_dead: bool) {
        let Some(received) = request.received.clone() else {
            return;
        };
        if is_dead {
            self.forget(request.place, received);
        } else if [502, 504].contains(&status) {
            self.failed(request);
        } else {
            self.failures.remove(&(request.place, received));
        }
    }

    fn failed(&mut self, request: &InFlight) {
        let Some(received) = request.received.clone().filter(|_| !request.is_own) else {
            return;
        };
        let failures = self.failures.entry((request.place, received.clone()));
        let failures = failures.or_default();
        *failures += 1;
        if *failures == 2 {
            self.forget(request.place, received);
        }
    }

    fn forget(&mut self, place: Place, token: String) {
        if self.tokens.get(&place) == Some(&token) {
            self.tokens.remove(&place);
        }
        let named = (place, token);
        self.failures.remove(&named);
        self.forgotten.push(named);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0..AUTHORITIES.len(), 0..KEYS.len());
    let send = (place(), any::<Index>(), prop::bool::weighted(0.1));
    let status = select(vec![200_u16, 400, 404, 410, 500, 502, 503, 504]);
    let issued = prop_oneof![
        3 => Just(Issued::New), 1 => Just(Issued::Received), 2 => Just(Issued::Nothing),
        2 => any::<Index>().prop_map(Issued::Old),
    ];
    prop_oneof![
        5 => send.prop_map(|(place, spelling, own)| Step::Send { place, spelling, own }),
        1 => any::<Index>().prop_map(Step::Poll),
        4 => (any::<Index>(), status, issued)
            .prop_map(|(which, status, issued)| Step::Answer { which, status, issued }),
        1 => any::<Index>().prop_map(Step::Fail),
        1 => any::<Index>().prop_map(Step::Drop),
        1 => any::<Index>().prop_map(Step::DropUnpolled),
        1 => any::<Index>().prop_map(Step::AnswerAndDrop),
    ]
}

fn request((authority, key): Place, spelling: Index, own: bool) -> Request<()> {
    let uri = spelling.get(AUTHORITIES[authority]);
    let request = Request::get(*uri).extension(AffinityKey::from_static(KEYS[key]));
    let request = if own {
        request.header(X_SESSION_TOKEN, "own")
    } else {
        request
    };
    request.body(()).unwrap()
}

fn answer(status: u16, token: Option<&str>) -> Response<()> {
    let mut response = Response::builder().status(status);
    if let Some(token) = token {
        response = response.header(X_SESSION_TOKEN, token);
    }
    response.body(()).unwrap()
}

/// A request, and the channel for its response.
type Arrival = (Request<()>, oneshot::Sender<Answer>);

/// A client, its gateway, and the model.
struct World {
    client: Box<dyn FnMut(Request<()>) -> Pending>,
    /// The last request that reached the gateway.
    arrived: Rc<RefCell<Option<Arrival>>>,
    model: Model,
    on_the_way: Vec<InFlight>,
    /// Whether the store has room for all sessions.
    has_room: bool,
}

impl World {
    fn new(has_room: bool) -> Self {
        let arrived = Rc::<RefCell<_>>::default();
        let seen = arrived.clone();
        let gateway = service_fn(move |request: Request<()>| {
            let (answer, answered) = oneshot::channel::<Answer>();
            *seen.borrow_mut() = Some((request, answer));
            async { answered.await.unwrap() }
        });
        let sessions = if has_room { 100 } else { 2 };
        let store = MemoryStore::bounded(sessions, MemoryStore::MAX_BYTES, MemoryStore::MAX_IDLE);
        let layer = AffinityTokenLayer::new(X_SESSION_TOKEN).store(store);
        let client = layer.layer(gateway);
        Self {
            client: Box::new(move |request| Box::pin(client.clone().call(request))),
            arrived,
            model: Model::default(),
            on_the_way: Vec::new(),
            has_room,
        }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Send {
                place,
                spelling,
                own,
            } => self.send(place, spelling, own)?,
            _ if self.on_the_way.is_empty() => {}
            Step::Poll(which) => {
                let which = which.index(self.on_the_way.len());
                let request = &mut self.on_the_way[which];
                prop_assert!(request.future.poll().is_pending());
                request.is_polled = true;
            }
            Step::Answer {
                which,
                status,
                issued,
            } => self.answer(which, status, issued)?,
            Step::Fail(which) => {
                let mut request = self.remove(which);
                self.model.failed(&request);
                request.answer.send(Err("failed")).unwrap();
                prop_assert!(request.future.poll().is_ready());
            }
            Step::Drop(which) => {
                let mut request = self.remove(which);
                prop_assert!(request.future.poll().is_pending());
                self.model.failed(&request);
            }
            Step::DropUnpolled(which) => {
                let request = self.remove(which);
                if request.is_polled {
                    self.model.failed(&request);
                }
            }
            Step::AnswerAndDrop(which) => {
                let request = self.remove(which);
                let token = self.model.issue(request.place);
                if request.is_polled {
                    self.model.failed(&request);
                }
                request.answer.send(Ok(answer(200, Some(&token)))).unwrap();
            }
        }
        Ok(())
    }

    fn remove(&mut self, which: Index) -> InFlight {
        let which = which.index(self.on_the_way.len());
        self.on_the_way.swap_remove(which)
    }

    fn send(&mut self, place: Place, spelling: Index, is_own: bool) -> Result<(), TestCaseError> {
        let future = spawn((self.client)(request(place, spelling, is_own)));
        let (request, answer) = self.arrived.take().unwrap();
        let mut values = request.headers().get_all(X_SESSION_TOKEN).iter();
        let received = values
            .next()
            .map(|value| value.to_str().unwrap().to_owned());
        prop_assert!(values.next().is_none(), "more than one value was sent");
        if is_own {
            prop_assert_eq!(received.as_deref(), Some("own"));
        } else if let Some(token) = &received {
            let (authority, key) = place;
            let issued_here = format!("authority {authority}, key {key}, ");
            prop_assert!(token.starts_with(&issued_here), "{}", token);
        }
        // A store that is too small may have forgotten the token, but must not send a different one.
        if !is_own && (self.has_room || received.is_some()) {
            prop_assert_eq!(received.as_ref(), self.model.tokens.get(&place));
        }
        self.on_the_way.push(InFlight {
            place,
            received,
            is_own,
            is_polled: false,
            moment: self.model.forgotten.len(),
            answer,
            future,
        });
        Ok(())
    }

    fn answer(&mut self, which: Index, status: u16, issued: Issued) -> Result<(), TestCaseError> {
        let mut request = self.remove(which);
        let token = match issued {
            Issued::New => Some(self.model.issue(request.place)),
            Issued::Received => request.received.clone(),
            Issued::Old(which) => {
                let issued = self.model.issued.get(&request.place);
                issued.map(|issued| which.get(issued).clone())
            }
            Issued::Nothing => None,
        };
        self.model.answered(&request, status, token.clone());
        request
            .answer
            .send(Ok(answer(status, token.as_deref())))
            .unwrap();
        prop_assert!(request.future.poll().is_ready());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_token_is_sent_only_to_its_origin_and_session_and_is_the_one_in_the_model(
        steps in vec(step(), 1..80), has_room: bool,
    ) {
        let mut world = World::new(has_room);
        for step in steps {
            world.take(step)?;
        }
    }
}
