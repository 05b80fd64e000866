//! Requests for access keys.

use std::sync::LazyLock;

use super::{Formed, finish, form};
use crate::domain::{Faults, Role, UserName};
use crate::shapes::CreateAccessKeyRequest;
use crate::shapes::document::Document;
use crate::shapes::schema::Schema;

static CREATE: LazyLock<Schema> = LazyLock::new(Schema::of::<CreateAccessKeyRequest>);

impl CreateAccessKeyRequest {
    /// Whose key `document` asks for, and what it is to allow; or all that is wrong with it.
    pub fn parse(document: &Document) -> Result<(UserName, Role), Faults> {
        let Formed {
            request,
            faults: form,
            ..
        } = form::<Self>(document, &CREATE);
        let mut faults = Faults::default();
        let user = request.user_name.parse();
        let user: Option<UserName> = user
            .map_err(|error: crate::domain::InvalidName| faults.add("userName", error.to_string()))
            .ok();
        let asked = user.map(|user| (user, request.role.into()));
        finish(asked, document, form, &faults)
    }
}
