//! Queries of a few named values.

use crate::error::{Kind, Problem};

/// The values of these names, in their order. A name that is not among them, or comes twice, is refused.
pub(crate) fn named<const N: usize>(query: Option<&str>, names: [&str; N]) -> Result<[Option<String>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let refused = |why| Problem::new(Kind::Invalid, why).field(name.chars().take(64).collect::<String>());
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| refused("there is no such parameter"))?;
        if values[place].replace(value.into_owned()).is_some() {
            return Err(refused("give this once"));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn values_are_found_by_their_names() {
        let given = named(Some("b=2%203&a="), ["a", "b", "c"]).unwrap();
        assert_eq!(given, [Some(String::new()), Some("2 3".into()), None]);
        assert_eq!(named(None, ["a"]).unwrap(), [None]);
        assert!(named(Some("a=1&a=2"), ["a"]).is_err());
        assert!(named(Some("x"), ["a"]).is_err());
    }
}
