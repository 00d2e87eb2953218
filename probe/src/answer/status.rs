//! Responses without a success status.

use http::{Response, StatusCode, header};
use hyper::body::Incoming;

use super::body::Body;
use super::{ERROR_BODY, busy, content_type};
use crate::client::Client;
use crate::conversation::Conversation;
use crate::failure::{Failure, SHOWN};
use crate::secret;

/// Returns the response if its status is a success, or else a failure with the endpoint's message.
pub(super) async fn accept(
    client: &Client,
    conversation: &Conversation,
    response: Response<Incoming>,
    tries: u32,
) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    if status.is_success() && status != StatusCode::NO_CONTENT {
        return Ok(response);
    }
    let retry_after = busy::retry_after(response.headers());
    let (head, body) = response.into_parts();
    let mut hint = None;
    let detail = if let Some(location) = head.headers.get(header::LOCATION) {
        let location = client.secrets.clean(location.as_bytes(), SHOWN);
        format!("it points to {location}")
    } else {
        let mut body = Body::new(&head.headers, body);
        let within = ERROR_BODY.min(client.timeout).min(client.request_timeout);
        let bytes = body.beginning(secret::LONGEST, within).await;
        hint = client.hint(conversation, &String::from_utf8_lossy(&bytes));
        client.secrets.clean(&bytes, SHOWN)
    };
    Err(match status {
        StatusCode::NO_CONTENT => {
            let content_type = content_type(client, &head.headers);
            Failure::NoStream {
                content_type,
                detail,
            }
        }
        _ if busy::is_busy(status, retry_after) => Failure::Busy {
            status,
            retry_after,
            tries,
            detail,
        },
        _ => {
            let is_rejected = matches!(status.as_u16(), 400 | 422);
            let hint = hint.filter(|_| is_rejected);
            Failure::Status {
                status,
                detail,
                hint,
            }
        }
    })
}
