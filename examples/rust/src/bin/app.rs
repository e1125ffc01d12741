//! A backend in Rust that lets its users chat as themselves: it logs a user in,
//! and on `POST /chat-token` asks the sidecar for that user's token. Whatever the
//! sidecar does, the rest of the backend goes on.

use std::{env, error::Error, time::Duration};

use axum::extract::{Form, FromRef, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::cookie::{Cookie, Key, SameSite, SignedCookieJar};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorInfo, StatusExt};

mod chatidentity {
    tonic::include_proto!("chatidentity.v1");
}
use chatidentity::chat_identity_service_client::ChatIdentityServiceClient;
use chatidentity::{Customer, Identifier, IssueTokenRequest, IssueTokenResponse};

/// For all tries together.
const DEADLINE: Duration = Duration::from_secs(1);
/// Between tries of UNAVAILABLE; tonic reads no service config. RESOURCE_EXHAUSTED is
/// not retried: the sidecar says when to come back, and the browser is told.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];
/// Without a reason, any other code comes from gRPC itself: nobody gets a token until the set-up is
/// mended.
const AWAY: [Code; 3] = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];

#[derive(Clone)]
struct App {
    chat: ChatIdentityServiceClient<Channel>,
    key: Key, // signs the session cookie
}

impl FromRef<App> for Key {
    fn from_ref(app: &App) -> Key {
        app.key.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("CHATIDENTITY_ADDRESS").unwrap_or_else(|_| "127.0.0.1:9451".into());
    let target = if address.starts_with("unix:") { address } else { format!("http://{address}") };
    // Lazy: it connects at the first call, and again after the sidecar's restart.
    let channel = Endpoint::from_shared(target)?.connect_timeout(DEADLINE).connect_lazy();
    let app = Router::new()
        .route("/", get(page))
        .route("/login", post(log_in))
        .route("/chat-token", post(chat_token))
        .with_state(App { chat: ChatIdentityServiceClient::new(channel), key: Key::generate() });
    let port = env::var("PORT").unwrap_or_else(|_| "8080".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

fn user(session: &SignedCookieJar) -> Option<String> {
    let cookie = session.get("session")?;
    Some(cookie.value().to_owned()).filter(|user| !user.is_empty())
}

async fn page(session: SignedCookieJar) -> Html<String> {
    let user = user(&session).unwrap_or_default().replace('&', "&amp;").replace('<', "&lt;");
    Html(format!(
        "<p>User: {user}</p><form method=post action=/login><input name=user_id><button>Log in</button></form>"
    ))
}

#[derive(Deserialize)]
struct LogIn {
    user_id: String,
}

/// Stands for the backend's own log-in: it believes what it is told.
async fn log_in(session: SignedCookieJar, Form(form): Form<LogIn>) -> impl IntoResponse {
    let cookie = Cookie::build(("session", form.user_id)).path("/").http_only(true).same_site(SameSite::Lax);
    (session.add(cookie), Redirect::to("/"))
}

async fn chat_token(State(app): State<App>, headers: HeaderMap, session: SignedCookieJar) -> Response {
    // From the session, never from the request.
    let Some(user) = user(&session) else {
        return answer(StatusCode::UNAUTHORIZED, json!({"error": "not logged in"}));
    };
    let customer = Some(Customer { external_id: user, ..Default::default() });
    match issue_token(app.chat, IssueTokenRequest { customer, ..Default::default() }, trace(&headers)).await {
        Ok(issued) => {
            let by_email = issued.login_identifier() == Identifier::Email;
            answer(StatusCode::OK, json!({
                "token": issued.token,
                "login_identifier": if by_email { "email" } else { "external_id" },
                "expire_time": issued.expire_time.unwrap_or_default().to_string(),
            }))
        }
        Err(status) => refuse(&status),
    }
}

/// What connects the sidecar's records with this request.
fn trace(headers: &HeaderMap) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for name in ["x-request-id", "traceparent"] {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(value) = value.and_then(|text| MetadataValue::try_from(text).ok()) {
            metadata.insert(name, value);
        }
    }
    metadata
}

async fn issue_token(
    mut chat: ChatIdentityServiceClient<Channel>,
    message: IssueTokenRequest,
    trace: MetadataMap,
) -> Result<IssueTokenResponse, Status> {
    let tries = async {
        let mut backoff = BACKOFF.into_iter();
        loop {
            let mut request = Request::new(message.clone());
            *request.metadata_mut() = trace.clone();
            match (chat.issue_token(request).await, backoff.next()) {
                (Err(status), Some(pause)) if status.code() == Code::Unavailable => tokio::time::sleep(pause).await,
                (answer, _) => return answer.map(tonic::Response::into_inner),
            }
        }
    };
    // tonic's own timeout would be told as CANCELLED. Dropped, a call is cancelled at the sidecar too.
    let late = |_| Err(Status::deadline_exceeded("the sidecar did not answer in time"));
    tokio::time::timeout(DEADLINE, tries).await.unwrap_or_else(late)
}

/// Tells the browser to wait, or to do without chat log-in.
fn refuse(status: &Status) -> Response {
    let info = status.get_details_error_info().unwrap_or_else(|| ErrorInfo::new("", "", []));
    let why = match info.metadata.get("audit_id") {
        Some(audit_id) => format!(" {} audit_id={audit_id}", info.reason),
        None => String::new(), // an error of gRPC itself
    };
    let is_set_up = info.reason.is_empty() && !AWAY.contains(&status.code());
    let what = if is_set_up { "ERROR: the set-up of chat is wrong" } else { "no chat token" };
    eprintln!("{what}: {:?}{why}: {}", status.code(), status.message());
    match status.code() {
        Code::ResourceExhausted => {
            let delay = status.get_details_retry_info().and_then(|retry| retry.retry_delay).unwrap_or(DEADLINE);
            let seconds = delay.as_secs_f64().ceil().to_string();
            let refusal = answer(StatusCode::TOO_MANY_REQUESTS, json!({"error": "too many chat log-ins"}));
            ([(header::RETRY_AFTER, seconds)], refusal).into_response()
        }
        // Our own fault: the log names the rule that this user's ID breaks.
        Code::InvalidArgument => {
            answer(StatusCode::UNPROCESSABLE_ENTITY, json!({"error": "this user cannot log in to chat"}))
        }
        _ => answer(StatusCode::OK, json!({"token": null})),
    }
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
