//! Values from a file as types, with the words that people write: "relu-squared" for `ReluSquared`,
//! "none" where nothing is meant, and a fault that names the field.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::nearest::did_you_mean;

/// A value as a type.
///
/// # Errors
/// For what the type cannot be, with the field.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    T::deserialize(Written(value))
}

/// A name in lower case, with hyphens: "relu-squared" of `ReluSquared`.
pub(crate) fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(if c == '_' { '-' } else { c.to_ascii_lowercase() });
    }
    kebab
}

/// A value as it is written.
struct Written<'a>(&'a Value);

impl<'de> Deserializer<'de> for Written<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(fields) => visitor.visit_map(Fields::of(fields)),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // TOML has no word for nothing.
        let nothing = self.0.is_null() || self.0.as_str().is_some_and(|text| text.eq_ignore_ascii_case("none"));
        if nothing { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let fields = self.0.as_object().ok_or_else(|| wrong(self.0, "a table"))?;
        match fields.iter().map(|(field, _)| field).find(|field| !known.contains(&field.as_str())) {
            Some(field) => Err(Fault::unknown_field(field, known.iter().copied())),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let one = |fields: &'_ Map<String, Value>| fields.len() == 1;
        let (name, content) = match self.0 {
            Value::String(name) => (name, None),
            Value::Object(fields) if one(fields) => fields.iter().next().map(|(name, v)| (name, Some(v))).expect("one"),
            other => return Err(wrong(other, &format!("one of {}", names(variants).join(", ")))),
        };
        let plain = |name: &str| name.replace(['-', '_', ' '], "").to_ascii_lowercase();
        match variants.iter().find(|variant| plain(variant) == plain(name)) {
            Some(variant) => visitor.visit_enum(Chosen { variant, content }),
            None => {
                let names = names(variants);
                let near = did_you_mean(name, names.iter().map(String::as_str));
                Err(Fault::new(format!("\"{name}\" is none of {}{near}", names.join(", "))))
            }
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        let wanted = format!("a list of {len} values");
        match self.0 {
            Value::Array(items) if items.len() == len => self.deserialize_any(visitor),
            Value::Array(items) => Err(Fault::new(format!("a list of {}, where {wanted} is wanted", items.len()))),
            other => Err(wrong(other, &wanted)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(len, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        map identifier ignored_any
    }
}

fn names(variants: &[&str]) -> Vec<String> {
    variants.iter().map(|variant| kebab(variant)).collect()
}

/// A value of another type than is wanted.
fn wrong(value: &Value, wanted: &str) -> Fault {
    let found = match value {
        Value::Null => "nothing".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
        other => other.to_string(),
    };
    Fault::new(format!("{found}, where {wanted} is wanted"))
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Value>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let item = self.0.next();
        item.map(|(place, value)| seed.deserialize(Written(value)).map_err(|e| e.within(place.to_string()))).transpose()
    }
}

struct Fields<'a> {
    rest: serde_json::map::Iter<'a>,
    current: Option<(&'a str, &'a Value)>,
}

impl<'a> Fields<'a> {
    fn of(fields: &'a Map<String, Value>) -> Self {
        Self { rest: fields.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.rest.next().map(|(field, value)| (field.as_str(), value));
        let field = |(field, _)| seed.deserialize(IntoDeserializer::<Fault>::into_deserializer(field));
        self.current.map(field).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (field, value) = self.current.take().expect("a value comes after its key");
        seed.deserialize(Written(value)).map_err(|fault| fault.within(field))
    }
}

/// A variant, and what was written for it.
struct Chosen<'a> {
    variant: &'static str,
    content: Option<&'a Value>,
}

impl Chosen<'_> {
    fn without_content(&self, wanted: &str) -> Fault {
        let name = kebab(self.variant);
        Fault::new(format!("{name} needs values; write {{ {name} = {wanted} }}"))
    }
}

impl<'de> EnumAccess<'de> for Chosen<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Chosen<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(Fault::new(format!("{} has no values", kebab(self.variant)))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let content = self.content.ok_or_else(|| self.without_content("…"))?;
        seed.deserialize(Written(content)).map_err(|fault| fault.within(kebab(self.variant)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        Written(self.content.ok_or_else(|| self.without_content("[…]"))?).deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let wanted = || fields.iter().map(|field| format!("{field} = …")).collect::<Vec<_>>().join(", ");
        let content = self.content.filter(|content| content.is_object());
        let content = content.ok_or_else(|| self.without_content(&format!("{{ {} }}", wanted())))?;
        let found = Written(content).deserialize_struct("", fields, visitor);
        found.map_err(|fault| fault.within(kebab(self.variant)))
    }
}

#[cfg(test)]
mod tests {
    use astrocytic_attention::{DecayConfig, FeatureMapConfig, Normalizer};
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Layer {
        map: FeatureMapConfig,
        theta: Option<f64>,
        rates: Vec<f64>,
    }

    #[test]
    fn values_are_written_as_people_say_them() {
        let map = |value: Value| typed::<FeatureMapConfig>(&value).unwrap();
        for name in ["relu-squared", "relu_squared", "ReluSquared", "relusquared"] {
            assert_eq!(map(json!(name)), FeatureMapConfig::ReluSquared);
        }
        assert_eq!(map(json!({ "dpfp": { "nu": 2 } })), FeatureMapConfig::Dpfp { nu: 2 });
        assert_eq!(typed::<DecayConfig>(&json!("none")).unwrap(), DecayConfig::None);
        let layer = typed::<Layer>(&json!({ "map": "elu", "theta": "none", "rates": [1, 0.5] })).unwrap();
        assert_eq!(layer, Layer { map: FeatureMapConfig::Elu, theta: None, rates: vec![1.0, 0.5] });
    }

    #[test]
    fn a_fault_names_the_field_and_what_may_stand_there() {
        let said = |value: Value| typed::<Layer>(&value).unwrap_err().to_string();
        let near = said(json!({ "map": "hedgehg", "theta": 1.0, "rates": [] }));
        assert!(near.starts_with("map: \"hedgehg\" is none of elu, relu, relu-squared"), "{near}");
        assert!(near.ends_with("did you mean \"hedgehog\"?"), "{near}");
        assert_eq!(said(json!({ "maps": "elu" })), "maps: unknown field; did you mean \"map\"?");
        assert_eq!(said(json!({ "map": "elu", "theta": "x", "rates": [] })).split(':').next(), Some("theta"));
        let rate = said(json!({ "map": "elu", "rates": [1, "x"] }));
        assert_eq!(rate, "rates.1: \"x\", where a number is wanted");
        assert_eq!(said(json!({ "map": "dpfp" })), "map: dpfp needs values; write { dpfp = { nu = … } }");
        assert_eq!(said(json!({ "map": { "dpfp": { "mu": 2 } } })), "map.dpfp.mu: unknown field; known: nu");
        assert_eq!(said(json!({ "map": { "dpfp": 2 } })), "map: dpfp needs values; write { dpfp = { nu = … } }");
        let normalizer = typed::<Normalizer>(&json!("calcium")).unwrap_err().to_string();
        assert!(normalizer.ends_with("{ calcium = { alpha = … } }"), "{normalizer}");
    }

    #[test]
    fn what_is_wanted_is_said_in_words() {
        let said = |fault: Result<(), Fault>| fault.unwrap_err().to_string();
        let of = |text: &str| text.to_string();
        fn read<T: DeserializeOwned>(value: Value) -> Result<(), Fault> {
            typed::<T>(&value).map(|_| ())
        }
        let whole = "where a whole number of at least 0 is wanted";
        assert_eq!(said(read::<usize>(json!("16"))), format!("\"16\", {whole}"));
        assert_eq!(said(read::<u64>(json!(-1))), format!("-1, {whole}"));
        assert_eq!(said(read::<usize>(json!(16.0))), format!("16.0, {whole}"));
        assert_eq!(said(read::<f64>(json!({}))), of("a table, where a number is wanted"));
        assert_eq!(said(read::<bool>(json!(1))), of("1, where true or false is wanted"));
        assert_eq!(said(read::<String>(json!([]))), of("a list, where text in quotation marks is wanted"));
        assert_eq!(said(read::<Vec<f64>>(json!(3e-3))), of("0.003, where a list is wanted"));
        assert_eq!(said(read::<Layer>(json!("x"))), of("\"x\", where a table is wanted"));
        // Nothing behind what is read is left unread.
        let pair = read::<[String; 2]>(json!(["a", "b", "c"]));
        assert_eq!(said(pair), of("a list of 3, where a list of 2 values is wanted"));
        assert_eq!(said(read::<[String; 2]>(json!(["a"]))), of("a list of 1, where a list of 2 values is wanted"));
        assert_eq!(said(read::<(u8, u8)>(json!([1, 2, 3]))), of("a list of 3, where a list of 2 values is wanted"));
        assert!(read::<[String; 2]>(json!(["a", "b"])).is_ok());
    }
}
