//! The client: every call takes the key of the scope that it is made in.

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

/// The model as one route of the server calls it.
#[derive(Clone)]
pub(crate) struct Model(Client<OpenAIConfig>);

/// A conversation with the model.
pub(crate) struct Talk {
    model: Model,
    messages: Vec<ChatCompletionRequestMessage>,
}

impl Model {
    pub(crate) fn new(provider: &str, route: &'static str, destinations: Destinations) -> Self {
        let layer = SessionAffinityLayer::new()
            .or(FromScope)
            .destinations(destinations.clone())
            .on_outcome(move |outcome, head| {
                let labels = labels(route, &destinations, outcome, head);
                metrics::counter!("session_affinity_requests_total", &labels).increment(1);
            });
        let http = ServiceBuilder::new()
            .layer(layer)
            .service(reqwest::Client::new());
        let send = service_fn(move |factory: HttpRequestFactory| {
            let http = http.clone();
            async move { Result::Ok(http.oneshot(factory.build().await?).await?) }
        });
        let config = OpenAIConfig::new()
            .with_api_base(format!("http://{provider}"))
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

    /// Returns the model's answer, and remembers it.
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
        let message = ChatCompletionRequestAssistantMessage::from(text.as_str());
        self.messages.push(message.into());
        Ok(text)
    }
}
