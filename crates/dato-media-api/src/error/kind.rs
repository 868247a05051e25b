//! The kinds of trouble with the API.
//!
//! Owns: what goes for each kind where no code says more: its words, whether it passes, what it stops, what to do.

use super::Scope;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiErrorKind {
    /// The client could not be set up: base URL, token characters, no certificate store.
    Setup,
    /// The token is missing, wrong or revoked.
    Token,
    /// The environment does not exist.
    Environment,
    /// Another environment than before is the primary one, and answers.
    Promoted,
    /// The token's role lacks a permission.
    Permission,
    /// The project is switched off.
    Project,
    /// The project, the environment or the platform is busy with itself; it passes.
    Maintenance,
    /// A limit of the plan is reached.
    Plan,
    /// More requests than the rate limit allows.
    Throttled,
    /// Our own monthly budget is spent.
    Budget,
    /// Another change to the same asset is running.
    Concurrent,
    /// The service refuses a value we sent.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// Records use the asset.
    InUse,
    /// Records that use the asset would become invalid.
    Validation,
    /// The project's own storage cannot do this.
    Storage,
    /// The service answered with an error of its own (5xx).
    Service,
    /// The API's answer made no sense: something is missing in it, or it is larger than any.
    Garbled,
    /// The answer is not the API's: a proxy, a firewall or a login page answers in its place.
    Between,
    /// No answer: name not found, connection refused or lost, time ran out.
    Network,
    /// A job did not come to an end in the stated time.
    Job,
}

impl ApiErrorKind {
    /// Of an answer whose code says nothing.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Token,
            403 => Self::Permission,
            404 | 410 => Self::NotFound,
            409 | 423 => Self::Concurrent,
            429 => Self::Throttled,
            408 | 500.. => Self::Service,
            400..=499 => Self::Invalid,
            _ => Self::Garbled,
        }
    }

    /// For people, in a few words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Setup => "the API client cannot be set up",
            Self::Token => "the API refuses the token",
            Self::Environment => "the project has no such environment",
            Self::Promoted => "another environment became the primary one",
            Self::Permission => "the token may not do this",
            Self::Project => "the project is switched off",
            Self::Maintenance => "the project or the platform is busy",
            Self::Plan => "a limit of the project's plan is reached",
            Self::Throttled => "too many requests",
            Self::Budget => "the monthly budget of API calls is spent",
            Self::Concurrent => "another change is running",
            Self::Invalid => "the API refuses a value",
            Self::NotFound => "the API does not find it",
            Self::InUse => "the asset is in use",
            Self::Validation => "records that use the asset would become invalid",
            Self::Storage => "the project's storage cannot do this",
            Self::Service => "the API is in trouble",
            Self::Garbled => "the answer is not one of the API's",
            Self::Between => "something between us and the API answers",
            Self::Network => "the API does not answer",
            Self::Job => "the API did not finish the job in time",
        }
    }

    /// Whether it passes by itself.
    pub(super) const fn passes(self) -> bool {
        matches!(
            self,
            Self::Maintenance
                | Self::Throttled
                | Self::Concurrent
                | Self::Service
                | Self::Garbled
                | Self::Between
                | Self::Network
                | Self::Job
        )
    }

    /// What it stops.
    pub(super) const fn scope(self) -> Scope {
        match self {
            Self::Setup
            | Self::Token
            | Self::Environment
            | Self::Promoted
            | Self::Project
            | Self::Maintenance
            | Self::Plan
            | Self::Throttled
            | Self::Budget
            | Self::Service
            | Self::Network => Scope::All,
            // Rights are per collection and creator: what may not be done to one asset may be done to another.
            Self::Permission
            | Self::Concurrent
            | Self::Invalid
            | Self::NotFound
            | Self::InUse
            | Self::Validation
            | Self::Storage
            | Self::Garbled
            | Self::Between
            | Self::Job => Scope::File,
        }
    }

    /// What to do about it.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Setup => "check base_url and the token; in a container install the ca-certificates package",
            Self::Token => "check the API token: it is wrong, revoked or of another project",
            Self::Environment => "check `environment`",
            Self::Promoted => "another environment is the primary one: a new client works on that one",
            Self::Permission => "give the token's role the permissions it lacks",
            Self::Project => "look at the project's plan and billing",
            Self::Maintenance | Self::Service => "the service is in trouble",
            Self::Plan => "a limit of the project's plan is reached",
            Self::Throttled => "the rate limit is used up; it passes",
            Self::Budget => "the budget of calls is spent: raise it, or wait for the next month",
            Self::Concurrent => "another change is running; it passes",
            Self::Invalid => "correct the value named here",
            Self::NotFound => "it was deleted meanwhile",
            Self::InUse => "take the asset out of the records that use it first",
            Self::Validation => "change the file, or the validations of the records that use it",
            Self::Storage => "look at the project's storage settings",
            Self::Garbled => "the API answers with something unexpected: if it lasts, report a bug",
            Self::Between => {
                "a proxy, a firewall or a login page answers in the API's place, or the API is in trouble: see what stands \
                 between here and the API"
            }
            Self::Network => "check the network, the proxy and base_url",
            Self::Job => "the service did not finish in time: look what became of it",
        }
    }
}
