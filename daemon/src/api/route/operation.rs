//! What a route takes and answers, read from its handler's signature: the description cannot say anything
//! else than the code.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use http::StatusCode;
use policy::rights::Permission;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::api::access::{Asks, Permitted, PermittedOwn};
use crate::problem::{self, Problem};

/// Makes the schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A body: its media type and its schema.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Media type.
    pub media_type: &'static str,
    /// Schema.
    pub shape: Shape,
}

/// What a route is for, takes and answers.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// The module and the name of its handler: `tokens.list`.
    pub(super) id: String,
    /// The parameters of its query, as an object.
    pub(super) query: Option<Shape>,
    /// Its body.
    pub(super) body: Option<Content>,
    /// What it answers when all goes well.
    pub(super) answers: Vec<(StatusCode, Option<Content>)>,
    /// The statuses that it answers else.
    pub(super) faults: BTreeSet<StatusCode>,
    /// What all of those hold.
    pub(super) fault: Content,
}

/// Why a request that can be read and is permitted may fail all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 409: what is there stands against it.
    Conflict,
    /// 422: its parts can be read, and are not possible.
    Invalid,
    /// 404: what it names is not there, or is not the caller's.
    Missing,
}

/// An argument of a handler.
pub trait Argument {
    /// Adds what it takes of a request, and how that can fail.
    fn tell(operation: &mut Operation);
}

/// What a handler answers when all goes well.
pub trait Answer {
    /// Each status, and the body that comes with it.
    fn answers() -> Vec<(StatusCode, Option<Content>)>;
}

/// What a surface says when something is wrong.
pub trait FaultBody {
    /// Its form.
    const CONTENT: Content;
}

/// A handler of the arguments `T`, as far as it can be described.
pub trait Told<T> {
    /// Its description.
    fn operation(summary: &'static str, faults: &[Fault], fault: Content) -> Operation;
}

macro_rules! told {
    ($($argument:ident)*) => {
        impl<Via, F, Fut, R, $($argument),*> Told<(Via, $($argument,)*)> for F
        where
            F: FnOnce($($argument),*) -> Fut,
            Fut: Future<Output = R>,
            R: Answer,
            $($argument: Argument),*
        {
            fn operation(summary: &'static str, faults: &[Fault], fault: Content) -> Operation {
                let mut operation = Operation::new(std::any::type_name::<F>(), summary, R::answers(), fault);
                $($argument::tell(&mut operation);)*
                operation.faults.extend(faults.iter().map(|fault| fault.status()));
                operation
            }
        }
    };
}

told!(A1);
told!(A1 A2);
told!(A1 A2 A3);
told!(A1 A2 A3 A4);
told!(A1 A2 A3 A4 A5);

impl Operation {
    fn new(handler: &str, summary: &'static str, answers: Vec<(StatusCode, Option<Content>)>, fault: Content) -> Self {
        let mut names: Vec<&str> = handler.rsplit("::").take(2).collect();
        names.reverse();
        let faults = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE].into();
        Self { summary, id: names.join("."), query: None, body: None, answers, faults, fault }
    }

    /// It reads a query of this shape.
    pub fn takes_query<T: JsonSchema>(&mut self) {
        self.query = Some(T::json_schema);
        self.faults.insert(StatusCode::BAD_REQUEST);
    }

    /// It reads a JSON body of this shape.
    pub fn takes_json<T: JsonSchema>(&mut self) {
        self.body = Some(Content::json::<T>());
        let faults = [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE];
        self.faults.extend(faults);
    }

    /// It reads its path.
    pub fn takes_path(&mut self) {
        self.faults.insert(StatusCode::BAD_REQUEST);
    }

    fn asks<A: Asks>(&mut self) {
        if A::PERMISSION != Permission::ReadPublic {
            self.faults.extend([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]);
        }
    }
}

impl Content {
    /// JSON of this shape.
    pub fn json<T: JsonSchema>() -> Self {
        Self { media_type: "application/json", shape: SchemaGenerator::subschema_for::<T> }
    }
}

impl Fault {
    fn status(self) -> StatusCode {
        match self {
            Self::Conflict => StatusCode::CONFLICT,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Missing => StatusCode::NOT_FOUND,
        }
    }
}

impl FaultBody for Problem {
    const CONTENT: Content = Content { media_type: problem::MEDIA_TYPE, shape: SchemaGenerator::subschema_for::<Self> };
}

impl<A: Asks> Argument for Permitted<A> {
    fn tell(operation: &mut Operation) {
        operation.asks::<A>();
    }
}

impl<A: Asks> Argument for PermittedOwn<A> {
    fn tell(operation: &mut Operation) {
        operation.asks::<A>();
    }
}

impl<S> Argument for State<S> {
    fn tell(_: &mut Operation) {}
}

impl<T: JsonSchema> Answer for Json<T> {
    fn answers() -> Vec<(StatusCode, Option<Content>)> {
        vec![(StatusCode::OK, Some(Content::json::<T>()))]
    }
}

impl Answer for NoContent {
    fn answers() -> Vec<(StatusCode, Option<Content>)> {
        vec![(StatusCode::NO_CONTENT, None)]
    }
}

impl<T: Answer, E> Answer for Result<T, E> {
    fn answers() -> Vec<(StatusCode, Option<Content>)> {
        T::answers()
    }
}
