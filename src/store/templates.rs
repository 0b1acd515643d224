//! Templates, as they are kept: a name has versions, which are added and never changed.

use diesel::prelude::*;

use super::schema::{template_versions, templates};
use super::sealing::{Opening, Perhaps};
use super::types::At;
use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Deed, TemplateName, Tenant, Timestamp};

/// Something to be done with a template.
#[derive(Clone, Debug)]
pub struct TemplateChange {
    /// Its name.
    pub name: TemplateName,
    /// What its author wrote, as JSON; nothing: it is to be used no more.
    pub sources: Option<String>,
    /// Whether there is to be none of this name yet.
    pub is_new: bool,
    /// How many there may be of this tenant.
    pub most: i64,
    /// As it is written down: in which tenant, by whom and when.
    pub deed: Deed,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKept {
    /// This version is used from now on; of what was deleted: was used until now.
    Version(i64),
    /// There is one of this name already.
    Taken,
    /// There are as many as there may be.
    TooMany,
    /// There is none of this name.
    Unknown,
}

/// A version of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateVersion {
    /// The template's name.
    pub name: String,
    /// Which version.
    pub version: i64,
    /// What its author wrote, as JSON.
    pub sources: String,
    /// Who that is, if it is a user or a named service.
    pub author: Option<String>,
    /// Since when there is this version.
    pub created_at: Timestamp,
}

/// A template's row.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = templates)]
pub(super) struct Row {
    pub id: i64,
    #[diesel(deserialize_as = Opening)]
    pub tenant: String,
    #[diesel(deserialize_as = Opening)]
    pub name: String,
    pub latest: i64,
    pub current: Option<i64>,
    pub created_at: At,
    pub updated_at: At,
}

/// A version's row.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = template_versions)]
pub(super) struct VersionRow {
    pub id: i64,
    #[diesel(deserialize_as = Opening)]
    pub tenant: String,
    #[diesel(deserialize_as = Opening)]
    pub name: String,
    pub version: i64,
    #[diesel(deserialize_as = Opening)]
    pub sources: String,
    #[diesel(deserialize_as = Perhaps)]
    pub author: Option<String>,
    pub created_at: At,
}

impl From<VersionRow> for TemplateVersion {
    fn from(row: VersionRow) -> Self {
        let VersionRow { name, version, sources, author, created_at, .. } = row;
        Self { name, version, sources, author, created_at: created_at.0 }
    }
}

impl Store {
    /// Which version of a template of `tenant` is used now; nothing, if it has none of this name.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn template_version(
        &self,
        tenant: &Tenant,
        name: &TemplateName,
    ) -> Result<Option<i64>, StoreError> {
        on!(&self.readers, template_version(tenant, name))
    }

    /// One version of a template, used or not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn template_at(
        &self,
        tenant: &Tenant,
        name: &TemplateName,
        version: i64,
    ) -> Result<Option<TemplateVersion>, StoreError> {
        let row = on!(&self.readers, template_at(tenant, name, version))?;
        Ok(row.map(TemplateVersion::from))
    }

    /// All templates that `tenant` uses, in the order of their names.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn templates(&self, tenant: &Tenant) -> Result<Vec<TemplateVersion>, StoreError> {
        let rows = on!(&self.readers, templates_of(tenant))?;
        Ok(rows.into_iter().map(TemplateVersion::from).collect())
    }

    /// Versions of a template before this one, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn template_versions(
        &self,
        tenant: &Tenant,
        name: &TemplateName,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<TemplateVersion>, StoreError> {
        let rows = on!(&self.readers, template_versions_of(tenant, name, before, limit))?;
        Ok(rows.into_iter().map(TemplateVersion::from).collect())
    }
}
