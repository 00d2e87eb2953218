//! Every HTTP stack with the layer in it, over real sockets.
//!
//! There is one file for each stack. Each begins with its wiring: the lines that a user copies. The
//! tests run them against a server that records the header lines that it receives.

mod support;

mod adapters;
mod agent;
mod async_openai;
mod aws;
mod axum;
mod azure;
mod body_field;
mod cookie;
mod destinations;
mod dynamo;
mod gateway;
mod genai;
mod guide;
mod hyper_util;
mod kube;
mod metrics;
mod octocrab;
mod reqwest;
mod reqwest_012;
mod reqwest_middleware;
mod rig;
mod rmcp;
mod scope_reach;
mod tonic;
mod tower;
mod tungstenite;
mod ureq;
