//! Writes of templates. Compiled twice, as `commit.rs` is.

use std::slice;

use diesel::prelude::*;

use super::commit::was_done;
use super::{Connection, RunQueryDsl, record};
use crate::store::schema::{template_versions, templates};
use crate::store::templates::{TemplateChange, TemplateKept};
use crate::store::types::At;

body! {
    /// Makes a template, adds a version to it, or uses it no more.
    pub fn change_template(connection: &mut Connection, change: &TemplateChange) -> QueryResult<TemplateKept> {
        let (tenant, name, at) = (change.deed.tenant.as_str(), change.name.as_str(), At(change.deed.at));
        let this = templates::table.filter(templates::tenant.eq(tenant)).filter(templates::name.eq(name));
        let before: Option<(i64, Option<i64>)> =
            wait!(this.select((templates::latest, templates::current)).get_result(connection)).optional()?;
        if wait!(was_done(connection, &change.deed))? {
            return Ok(TemplateKept::Version(before.map_or(0, |(latest, _)| latest)));
        }
        let current = before.and_then(|(_, current)| current);
        let Some(sources) = &change.sources else {
            let used = this.filter(templates::current.is_not_null());
            let none = (templates::current.eq(None::<i64>), templates::updated_at.eq(at));
            if wait!(diesel::update(used).set(none).execute(connection))? == 0 {
                return Ok(TemplateKept::Unknown);
            }
            wait!(record(connection, slice::from_ref(&change.deed)))?;
            return Ok(TemplateKept::Version(current.unwrap_or(0)));
        };
        match (change.is_new, current) {
            (true, Some(_)) => return Ok(TemplateKept::Taken),
            (false, None) => return Ok(TemplateKept::Unknown),
            _ => {}
        }
        if change.is_new {
            let used = templates::table
                .filter(templates::tenant.eq(tenant))
                .filter(templates::current.is_not_null());
            let many: i64 = wait!(used.count().get_result(connection))?;
            if many >= change.most {
                return Ok(TemplateKept::TooMany);
            }
            wait!(diesel::insert_into(templates::table)
                .values((
                    templates::tenant.eq(tenant),
                    templates::name.eq(name),
                    templates::latest.eq(0),
                    templates::created_at.eq(at),
                    templates::updated_at.eq(at),
                ))
                .on_conflict_do_nothing()
                .execute(connection))?;
        }
        // Whoever changes the same one at the same time waits here, and gets the next number.
        let next = (
            templates::latest.eq(templates::latest + 1),
            templates::current.eq((templates::latest + 1).nullable()),
            templates::updated_at.eq(at),
        );
        let mine = this.filter(templates::current.is_null().eq(change.is_new));
        let version: Option<i64> = wait!(diesel::update(mine)
            .set(next)
            .returning(templates::latest)
            .get_result(connection))
        .optional()?;
        let Some(version) = version else {
            return Ok(if change.is_new { TemplateKept::Taken } else { TemplateKept::Unknown });
        };
        wait!(diesel::insert_into(template_versions::table)
            .values((
                template_versions::tenant.eq(tenant),
                template_versions::name.eq(name),
                template_versions::version.eq(version),
                template_versions::sources.eq(sources.as_str()),
                template_versions::author.eq(change.deed.actor.as_deref()),
                template_versions::created_at.eq(at),
            ))
            .execute(connection))?;
        wait!(record(connection, slice::from_ref(&change.deed)))?;
        Ok(TemplateKept::Version(version))
    }
}
