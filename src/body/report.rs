//! Reports the outcome of a body, which is known at its end.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Uri};

#[cfg(feature = "tracing")]
use crate::events::Warnings;
#[cfg(feature = "tracing")]
use crate::outcome::Carrier;
use crate::outcome::Hook;
use crate::stamp::Settings;
use crate::{Outcome, RequestHead};

/// Who is told the outcome, and a copy of the head, because the request has been sent by then.
#[derive(Clone)]
pub(super) struct Report {
    hook: Option<(Hook, Arc<Head>)>,
    /// The span of the request: without it, the event would be in that of the connection that reads the body.
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
    /// Returns `None` if there is nobody to tell.
    pub(super) fn new(settings: &Settings, head: RequestHead<'_>) -> Option<Self> {
        let hook = settings.hook();
        (hook.is_some() || cfg!(feature = "tracing")).then(|| Self {
            hook: hook.map(|hook| (hook.clone(), Arc::new(head.into()))),
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        })
    }

    pub(super) fn tell(&self, outcome: Outcome, field: &str) {
        #[cfg(feature = "tracing")]
        let _in_span = self.span.enter();
        // No outcome that a body decides is a warning, so no pauses are shared.
        #[cfg(feature = "tracing")]
        Warnings::new().report(outcome, Carrier::Field(field), false);
        #[cfg(not(feature = "tracing"))]
        let _ = field;
        if let Some((hook, head)) = &self.hook {
            hook.call(outcome, head.borrow());
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
