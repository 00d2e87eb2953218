//! A visitor of the server, who names a session or does not.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Asks on every route, and returns all answers: three of the agent, two of the chat, one report.
pub(crate) async fn all_routes(
    server: &str,
    session: Option<&'static str>,
    question: &str,
) -> Result<Vec<String>> {
    let events = ask(&format!("http://{server}/agent"), session, question).await?;
    let events = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let mut answers: Vec<_> = events.map(str::to_owned).collect();
    answers.extend(chat(&format!("ws://{server}/chat"), session, question).await?);
    answers.push(ask(&format!("http://{server}/report"), session, question).await?);
    Ok(answers)
}

pub(crate) async fn metrics(server: &str) -> Result<String> {
    let page = reqwest::get(format!("http://{server}/metrics")).await?;
    Ok(page.text().await?)
}

async fn ask(url: &str, session: Option<&str>, question: &str) -> Result<String> {
    let mut request = reqwest::Client::new().post(url).body(question.to_owned());
    if let Some(session) = session {
        request = request.header("x-session-id", session);
    }
    let response = request.send().await?.error_for_status()?;
    Ok(response.text().await?)
}

/// Says the question, and then once more, over a WebSocket.
async fn chat(url: &str, session: Option<&'static str>, question: &str) -> Result<Vec<String>> {
    let mut request = url.into_client_request()?;
    if let Some(session) = session {
        request
            .headers_mut()
            .insert("x-session-id", session.try_into()?);
    }
    let (mut socket, _) = connect_async(request).await?;
    let mut answers = Vec::new();
    for _ in 0..2 {
        socket.send(Message::from(question)).await?;
        let answer = socket.next().await.ok_or("the chat has ended")??;
        answers.push(answer.into_text()?.to_string());
    }
    Ok(answers)
}
