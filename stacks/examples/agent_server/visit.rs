//! The visitors of the server, and the checks of what came of their questions.

use std::error::Error;

use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::stand_in::StandIn;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Someone who asks, with a session or without one.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    session: Option<&'static str>,
    question: &'static str,
}

pub(crate) const VISITORS: [Visitor; 3] = [
    Visitor {
        session: Some("chat-1"),
        question: "Sky?",
    },
    Visitor {
        session: Some("chat-2"),
        question: "Sea?",
    },
    Visitor {
        session: None,
        question: "Grass?",
    },
];

/// Lets all visitors ask at once, and checks that every call of each carried
/// exactly that visitor's session.
pub(crate) async fn check_answers(server: &str, model: &StandIn) -> Result<()> {
    let visits = VISITORS.map(|visitor| visitor.ask_everywhere(server));
    let answers = try_join_all(visits).await?;
    for (visitor, answers) in VISITORS.into_iter().zip(answers) {
        let Visitor { session, question } = visitor;
        let name = session.unwrap_or("no session");
        let received = model.received(question);
        println!("{name}: the server answered {answers:?}");
        println!("{name}: the model received the keys {received:?}");

        let expected = (1..=6).map(|call| format!("{question} Answer {call}."));
        assert_eq!(answers, expected.collect::<Vec<_>>(), "answers to {name}");
        let expected = vec![Vec::from_iter(session); 6];
        assert_eq!(received, expected, "keys that the model received");
    }
    Ok(())
}

/// Checks that the metrics page counts every call, by route and outcome.
pub(crate) async fn check_metrics(server: &str, provider: &str) -> Result<()> {
    let page = reqwest::get(format!("http://{server}/metrics")).await?;
    let page = page.text().await?;
    println!("\n{page}");

    let counter = "session_affinity_requests_total";
    // How many calls one visitor makes on each route.
    for (route, calls) in [("/agent", 3), ("/chat", 2), ("/report", 1)] {
        // Two visitors have a session, and one has none.
        let counts = [("stamped", true, 2 * calls), ("no_key", false, calls)];
        for (outcome, sent, count) in counts {
            let line = format!(
                "{counter}{{route=\"{route}\",host=\"{provider}\",\
                 header=\"x-session-affinity\",\
                 outcome=\"{outcome}\",sent=\"{sent}\"}} {count}"
            );
            let found = page.lines().any(|found| found == line);
            assert!(found, "the metrics page does not have this line: {line}");
        }
    }
    let lines = page.matches(&format!("{counter}{{")).count();
    assert_eq!(lines, 6, "lines of {counter}");
    Ok(())
}

impl Visitor {
    /// Asks on every route, and returns all answers: three from the agent, two
    /// from the chat, one report.
    async fn ask_everywhere(self, server: &str) -> Result<Vec<String>> {
        let events = self.post(&format!("http://{server}/agent")).await?;
        let events = events
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let mut answers: Vec<_> = events.map(str::to_owned).collect();
        answers.extend(self.chat(&format!("ws://{server}/chat")).await?);
        answers.push(self.post(&format!("http://{server}/report")).await?);
        Ok(answers)
    }

    async fn post(self, url: &str) -> Result<String> {
        let mut request = reqwest::Client::new().post(url).body(self.question);
        if let Some(session) = self.session {
            request = request.header("x-session-id", session);
        }
        let response = request.send().await?.error_for_status()?;
        Ok(response.text().await?)
    }

    /// Asks the question twice over one WebSocket.
    async fn chat(self, url: &str) -> Result<Vec<String>> {
        let mut request = url.into_client_request()?;
        if let Some(session) = self.session {
            let headers = request.headers_mut();
            headers.insert("x-session-id", session.try_into()?);
        }
        let (mut socket, _) = connect_async(request).await?;
        let mut answers = Vec::new();
        for _ in 0..2 {
            socket.send(Message::from(self.question)).await?;
            let answer = socket.next().await.ok_or("the chat has ended")??;
            answers.push(answer.into_text()?.to_string());
        }
        Ok(answers)
    }
}
