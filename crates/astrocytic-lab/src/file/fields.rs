//! The fields that a type has in a file.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::fault::Fault;

/// Names of the fields of a struct, in order.
pub(crate) fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // It has no value to give: the struct only says what it would ask for.
    let _ = T::deserialize(Asked(&mut fields));
    fields
}

struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        *self.0 = fields;
        Err(Fault::new("only its fields"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use astrocytic_attention::SoftmaxAttentionConfig;
    use astrocytic_models::DecoderConfig;

    use super::*;

    #[test]
    fn fields_are_those_of_the_struct_even_where_they_are_left_out_of_files() {
        assert!(fields_of::<SoftmaxAttentionConfig>().ends_with(&["initializer", "decay"]));
        assert!(fields_of::<DecoderConfig>().contains(&"tied"));
        assert!(fields_of::<u64>().is_empty());
    }
}
