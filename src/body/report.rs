//! The outcome of a body, which is known at its end.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Uri};

use crate::outcome::Carrier;
use crate::stamp::Settings;
use crate::{Outcome, RequestHead};

/// Who is told, and what they are shown of a request that has been sent meanwhile.
#[derive(Clone)]
pub(super) struct Report {
    settings: Settings,
    /// Only where there is a hook to see it.
    head: Option<Arc<Head>>,
    /// The event belongs to the request, and not to the connection that reads the body.
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
}

impl Report {
    /// Returns `None` where there is nobody to tell.
    pub(super) fn new(settings: &Settings, head: RequestHead<'_>) -> Option<Self> {
        if settings.hook().is_none() && !cfg!(feature = "tracing") {
            return None;
        }
        Some(Self {
            settings: settings.clone(),
            head: settings.hook().map(|_| Arc::new(head.into())),
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        })
    }

    pub(super) fn tell(&self, outcome: Outcome, field: &str) {
        #[cfg(feature = "tracing")]
        let _in_span = self.span.enter();
        let carrier = Carrier::Field(field);
        match &self.head {
            Some(head) => self.settings.tell(outcome, carrier, head.borrow()),
            None => self.settings.report(outcome, carrier),
        }
    }
}

impl Head {
    const fn borrow(&self) -> RequestHead<'_> {
        RequestHead::new(&self.method, &self.uri, &self.headers, &self.extensions)
    }
}

impl From<RequestHead<'_>> for Head {
    fn from(head: RequestHead<'_>) -> Self {
        Self {
            method: head.method().clone(),
            uri: head.uri().clone(),
            headers: head.headers().clone(),
            extensions: head.extensions().clone(),
        }
    }
}
