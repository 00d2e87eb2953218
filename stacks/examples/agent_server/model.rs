//! The client: every call carries the key of the scope that it is made in.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{Destinations, FromScope, SessionAffinityLayer};

use super::labels::labels;

pub(crate) type Result<T> = std::result::Result<T, OpenAIError>;

/// A route of the server, as a label of its requests.
type Route = &'static str;

/// The client of one route of the server.
#[derive(Clone)]
pub(crate) struct Model(Client<OpenAIConfig>);

/// A conversation with the model.
pub(crate) struct Talk {
    model: Model,
    messages: Vec<ChatCompletionRequestMessage>,
}

impl Model {
    /// Makes a client that counts its requests under this route.
    pub(crate) fn new(host: &str, route: Route, table: Destinations) -> Self {
        // The table chooses the header by host, and `on_outcome` counts what
        // the layer did.
        let layer = SessionAffinityLayer::new()
            .or(FromScope)
            .destinations(table.clone())
            .on_outcome(move |outcome, head| {
                let labels = labels(route, &table, outcome, head);
                let name = "session_affinity_requests_total";
                metrics::counter!(name, &labels).increment(1);
            });
        let http = ServiceBuilder::new()
            .layer(layer)
            .service(reqwest::Client::new());

        // async-openai builds each request, and this service sends it.
        let send = service_fn(move |factory: HttpRequestFactory| {
            let http = http.clone();
            async move {
                let request = factory.build().await?;
                Result::Ok(http.oneshot(request).await?)
            }
        });
        let config = OpenAIConfig::new()
            .with_api_base(format!("http://{host}"))
            .with_api_key("none");
        Self(Client::with_config(config).with_http_service(send))
    }

    pub(crate) fn begin(self) -> Talk {
        Talk {
            model: self,
            messages: Vec::new(),
        }
    }
}

impl Talk {
    pub(crate) fn say(&mut self, text: &str) {
        let message = ChatCompletionRequestUserMessage::from(text);
        self.messages.push(message.into());
    }

    /// Returns the model's answer, and adds it to the conversation.
    pub(crate) async fn ask(&mut self) -> Result<String> {
        let prompt = CreateChatCompletionRequest {
            model: "stub".to_owned(),
            messages: self.messages.clone(),
            ..Default::default()
        };
        let answer = self.model.0.chat().create(prompt).await?;
        let choice = answer.choices.into_iter().next();
        let text = choice.and_then(|choice| choice.message.content);
        let text = text.unwrap_or_default();
        let message = text.as_str();
        let message = ChatCompletionRequestAssistantMessage::from(message);
        self.messages.push(message.into());
        Ok(text)
    }
}
