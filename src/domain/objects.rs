//! Reading objects, and nothing else: what serde derives would take a list of the fields' values, too.

/// Lets types whose derived reading is `#[serde(remote = "Self")]` be read from objects only.
macro_rules! read_from_objects {
    ($($type:ty),*) => {
        $(
            impl<'de> serde::Deserialize<'de> for $type {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Object;
                    impl<'de> serde::de::Visitor<'de> for Object {
                        type Value = $type;

                        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                            f.write_str("a JSON object")
                        }

                        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                            <$type>::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                        }
                    }
                    deserializer.deserialize_map(Object)
                }
            }
        )*
    };
}
pub(crate) use read_from_objects;
