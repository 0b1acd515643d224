//! Topics, as they are written.

use super::*;

/// Topics to hear of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Subscribe, example = json!({"topics": ["orders", "news"]}))]
pub struct SubscribeIn {
    /// Their names. Also `channels`.
    #[schema(max_items = 100, value_type = Vec<Label>)]
    #[serde(alias = "channels")]
    pub topics: Vec<String>,
}

/// The topic to hear of no longer.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct UnsubscribeIn {
    /// Its name.
    #[param(value_type = Label)]
    pub topic: String,
}

/// What is heard of now.
#[derive(Serialize, ToSchema)]
#[schema(as = Topics)]
pub struct TopicsOut {
    /// The names, in their order.
    pub topics: Vec<String>,
}
