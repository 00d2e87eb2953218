//! What a layer decides about a body before it is read.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body;

use super::FieldBody;
use super::admission::{content_length, refuse};
use super::edit::Edit;
use super::member::Member;
use super::report::Report;
use crate::outcome::Carrier;
use crate::stamp::{Stamp, Stampable};
use crate::{KeyExtractor, Outcome, RequestHead};

impl<K: KeyExtractor> Stamp<K> {
    /// Wraps a request's body in one that writes the member, or in one that changes nothing.
    pub(super) fn wrap<B: Body>(&self, mut request: Request<B>) -> Request<FieldBody<B>> {
        let is_empty = is_empty(request.body());
        let Some(member) = self.admit(&mut request, is_empty) else {
            return request.map(FieldBody::from);
        };
        lengthen(request.headers_mut(), &member);
        let report = Report::new(&self.settings, (&request).into());
        request.map(|body| FieldBody::new(body, Edit::new(member, report)))
    }

    /// Returns the member to write if the head allows one, or else reports why not.
    pub(super) fn admit(&self, request: &mut impl Stampable, is_empty: bool) -> Option<Member> {
        let settings = &self.settings;
        let decided = self.decide(request.head(), is_empty);
        settings.strip(request);
        match decided {
            Ok(member) => Some(member),
            Err((outcome, carrier)) => {
                settings.tell(outcome, carrier, request.head());
                None
            }
        }
    }

    fn decide(
        &self,
        head: RequestHead<'_>,
        is_empty: bool,
    ) -> Result<Member, (Outcome, Carrier<'_>)> {
        let (field, max_len) = match self.settings.field(head) {
            Ok(field) => field,
            Err(outcome) => return Err((outcome, Carrier::Nothing)),
        };
        let refused = if is_empty {
            Some(Outcome::NotJson)
        } else {
            refuse(head.headers())
        };
        let key = refused.map_or_else(|| self.key(head, max_len), Err);
        match key {
            Ok(key) => {
                let value = key.to_str().expect("a key is visible ASCII");
                Ok(Member::new(field, value))
            }
            Err(outcome) => Err((outcome, Carrier::Field(field))),
        }
    }
}

/// Whether the body is known to have no bytes.
pub(super) fn is_empty(body: &impl Body) -> bool {
    body.is_end_stream() || body.size_hint().upper() == Some(0)
}

/// Adds the member's length to `content-length`, if there is one.
pub(super) fn lengthen(headers: &mut HeaderMap, member: &Member) {
    let Ok(Some(length)) = content_length(headers) else {
        return;
    };
    // In place, because a full header map refuses an insertion even of a name that it has.
    for (name, value) in headers.iter_mut() {
        if *name == CONTENT_LENGTH {
            *value = HeaderValue::from(length + member.len() as u64);
        }
    }
}
