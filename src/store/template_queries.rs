//! Reads of templates. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::{TemplateName, Tenant};
use crate::store::StoreError;
use crate::store::schema::{template_versions, templates};
use crate::store::templates::VersionRow;

/// See [`crate::store::Store::template_version`].
pub async fn template_version(
    connection: &mut Connection,
    tenant: &Tenant,
    name: &TemplateName,
) -> Result<Option<i64>, StoreError> {
    let one = templates::table
        .filter(templates::tenant.eq(tenant.as_str()))
        .filter(templates::name.eq(name.as_str()))
        .select(templates::current);
    let current: Option<Option<i64>> = one.get_result(connection).await.optional()?;
    Ok(current.flatten())
}

/// See [`crate::store::Store::template_at`].
pub async fn template_at(
    connection: &mut Connection,
    tenant: &Tenant,
    name: &TemplateName,
    version: i64,
) -> Result<Option<VersionRow>, StoreError> {
    let one = template_versions::table
        .filter(template_versions::tenant.eq(tenant.as_str()))
        .filter(template_versions::name.eq(name.as_str()))
        .filter(template_versions::version.eq(version));
    Ok(one.get_result(connection).await.optional()?)
}

/// See [`crate::store::Store::templates`].
pub async fn templates_of(
    connection: &mut Connection,
    tenant: &Tenant,
) -> Result<Vec<VersionRow>, StoreError> {
    let same = template_versions::tenant
        .eq(templates::tenant)
        .and(template_versions::name.eq(templates::name))
        .and(templates::current.eq(template_versions::version.nullable()));
    let used = templates::table
        .inner_join(template_versions::table.on(same))
        .filter(templates::tenant.eq(tenant.as_str()))
        .order(templates::name)
        .select(template_versions::all_columns);
    Ok(used.load(connection).await?)
}

/// See [`crate::store::Store::template_versions`].
pub async fn template_versions_of(
    connection: &mut Connection,
    tenant: &Tenant,
    name: &TemplateName,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<VersionRow>, StoreError> {
    let page = template_versions::table
        .filter(template_versions::tenant.eq(tenant.as_str()))
        .filter(template_versions::name.eq(name.as_str()))
        .filter(template_versions::version.lt(before.unwrap_or(i64::MAX)))
        .order(template_versions::version.desc())
        .limit(limit);
    Ok(page.load(connection).await?)
}
