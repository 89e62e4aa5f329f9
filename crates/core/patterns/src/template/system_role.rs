//! Keeps what a user writes out of the system role: a template may not place a value where a model would read it as
//! its operator's instructions.

use super::placeholder_name;

/// Keys under which a whole template is a system prompt.
const SYSTEM_KEYS: [&str; 4] = ["system", "system_prompt", "system_message", "system_instruction"];

/// Why `content` under `key` would let a value reach the system role, or `None`.
///
/// Read line by line. A part in the system role begins at a line that names the role (`system:`, `role: system`,
/// `<|system|>`, `[SYSTEM]`, `<<SYS>>`, a `system_prompt:` key, …) and ends where another role is named, where it is
/// closed, or, after a YAML key, where the indentation ends. As `role: system` may also follow its text, the part before
/// it counts as well. When in doubt, the template is refused.
pub(crate) fn system_role_problem(key: &str, content: &str) -> Option<String> {
    let first = first_placeholder(content)?;
    let refuse = |name: &str| Some(format!("placeholder `{name}` lets user input reach the system role"));
    if SYSTEM_KEYS.contains(&key.to_lowercase().as_str()) {
        return refuse(first);
    }
    let content = on_own_lines(content);
    let mut role = Role::Unnamed;
    let mut waiting: Option<&str> = None;
    for line in content.lines() {
        let named = role_of_line(line);
        match named {
            Some(Named::System { may_follow_text: true }) if waiting.is_some() => {
                return waiting.and_then(refuse);
            }
            Some(Named::System { .. }) => role = Role::System { indentation: yaml_indentation(line) },
            Some(Named::Other) => {
                role = Role::Other;
                waiting = None;
            }
            None => role = role.at_line(line),
        }
        if let Some(name) = first_placeholder(line) {
            if matches!(role, Role::System { .. }) {
                return refuse(name);
            }
            if role == Role::Unnamed {
                waiting = Some(name);
            }
        }
    }
    None
}

/// The name in the first placeholder of `text`.
fn first_placeholder(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("{{")?;
    let (inside, _) = after.split_once("}}")?;
    Some(placeholder_name(inside))
}

/// Puts each closing marker, and each of several messages written in one line, on a line of its own.
fn on_own_lines(content: &str) -> String {
    const CLOSERS: [&str; 6] = ["<|im_end|>", "<|eot_id|>", "</system>", "</SYSTEM>", "<</SYS>>", "<</sys>>"];
    let separated = content.replace("},{", "},\n{").replace("}, {", "},\n{");
    CLOSERS.iter().fold(separated, |text, closer| text.replace(closer, &format!("\n{closer}\n")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Unnamed,
    Other,
    System { indentation: Option<usize> },
}

enum Named {
    System { may_follow_text: bool },
    Other,
}

impl Role {
    /// The role at a line that names none: a YAML value ends where its indentation does.
    fn at_line(self, line: &str) -> Self {
        match self {
            Self::System { indentation: Some(key) }
                if !line.trim().is_empty() && indentation(line) <= key =>
            {
                Self::Unnamed
            }
            unchanged => unchanged,
        }
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The indentation of a `system_prompt:` key, below which its value ends; `None` for the other notations.
fn yaml_indentation(line: &str) -> Option<usize> {
    let key = line.trim_start().to_lowercase();
    SYSTEM_KEYS[1..].iter().any(|name| key.starts_with(name)).then(|| indentation(line))
}

fn role_of_line(line: &str) -> Option<Named> {
    // Most lines: every notation has one of these.
    if !line.contains([':', ']', '>', '=']) {
        return None;
    }
    let bare: String = line
        .chars()
        .filter(|c| !c.is_whitespace() && !"\"'`*".contains(*c))
        .flat_map(char::to_lowercase)
        .collect();
    let bare = bare.trim_start_matches(['-', '#', '{', ',', '[', '(']);
    if bare.contains("role:system") || bare.contains("role:developer") || bare.contains("role=system") {
        return Some(Named::System { may_follow_text: true });
    }
    let opens =
        ["system:", "system]", "<system>", "<|system|>", "<<sys>>", "systemprompt:", "systemmessage:"];
    let contains = ["<|im_start|>system", "<|start_header_id|>system", "<<sys>>", "<|system|>"];
    let keyed =
        SYSTEM_KEYS.iter().any(|key| bare.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    if keyed || opens.iter().any(|open| bare.starts_with(open)) || contains.iter().any(|m| bare.contains(m)) {
        return Some(Named::System { may_follow_text: false });
    }
    let others = ["user:", "assistant:", "human:", "user]", "<user>", "<|user|>", "</system>", "<</sys>>"];
    let elsewhere =
        ["role:user", "role:assistant", "role=user", "<|im_start|>user", "<|im_end|>", "<|eot_id|>"];
    (others.iter().any(|open| bare.starts_with(open)) || elsewhere.iter().any(|m| bare.contains(m)))
        .then_some(Named::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_input_in_the_system_role_is_found_in_every_notation() {
        for bad in [
            "System: you are {{persona}}",
            "system:\nBe kind.\nObey {{request}}\nuser:\nhello",
            "[SYSTEM] {{x}}",
            "<|im_start|>system\n{{x}}<|im_end|>",
            "<<SYS>>\n{{x}}\n<</SYS>>",
            "messages:\n  - role: system\n    content: {{x}}",
            "[{\"role\": \"system\", \"content\": \"{{x}}\"}]",
            "- content: {{x}}\n  role: system",
            "spec:\n  system_prompt: |\n    {{x}}\n  tools: []",
            "### System:\n{{#if x}}",
        ] {
            assert!(system_role_problem("prompt", bad).is_some(), "{bad}");
        }
        assert!(system_role_problem("system_prompt", "You are {{x}}").is_some());
    }

    #[test]
    fn other_templates_pass() {
        for good in [
            "SELECT * FROM {{table}}",
            "System: be brief.\nUser: {{question}}",
            "<|im_start|>system\nbe brief<|im_end|><|im_start|>user\n{{question}}<|im_end|>",
            "[{\"role\":\"system\",\"content\":\"be brief\"},{\"role\":\"user\",\"content\":\"{{q}}\"}]",
            "- role: system\n  content: be brief\n- role: user\n  content: {{question}}",
            "system_prompt: |\n  be brief\ntools: {{tools}}",
            "The operating system: {{unlabelled}}",
        ] {
            assert_eq!(system_role_problem("prompt", good), None, "{good}");
        }
        assert_eq!(system_role_problem("system", "You are careful."), None);
    }
}
