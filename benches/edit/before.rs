/// Reads the table of a configuration file: sections in brackets, `key = value` lines, comments after `#`.
pub fn parse_table(source: &str) -> Result<Table, ParseError> {
    let mut table = Table::default();
    let mut section = String::new();
    let mut seen = HashSet::new();

    for (index, raw) in source.lines().enumerate() {
        let line_number = index + 1;
        let line = match raw.find('#') {
            Some(at) => &raw[..at],
            None => raw,
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }

        if line.starts_with('[') {
            if !line.ends_with(']') {
                return Err(ParseError::new(line_number, "a section ends with a bracket"));
            }
            let name = line[1..line.len() - 1].trim();
            if name.is_empty() {
                return Err(ParseError::new(line_number, "a section needs a name"));
            }
            if !seen.insert(name.to_string()) {
                return Err(ParseError::new(line_number, "this section was there before"));
            }
            section = name.to_string();
            table.sections.push(Section::new(name));
            continue;
        }

        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key.trim(), value.trim()),
            None => return Err(ParseError::new(line_number, "expected a key and a value")),
        };
        if key.is_empty() {
            return Err(ParseError::new(line_number, "a value needs a key"));
        }
        if section.is_empty() {
            return Err(ParseError::new(line_number, "a value needs a section"));
        }

        let value = if value.starts_with('"') {
            parse_string(value).map_err(|reason| ParseError::new(line_number, reason))?
        } else if let Ok(number) = value.parse::<i64>() {
            Value::Number(number)
        } else if value == "true" || value == "false" {
            Value::Flag(value == "true")
        } else {
            return Err(ParseError::new(line_number, "expected a string, a number or a flag"));
        };

        if let Some(last) = table.sections.last_mut() {
            last.entries.push(Entry { key: key.to_string(), value });
        }
    }

    Ok(table)
}
