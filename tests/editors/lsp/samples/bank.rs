//! Accounts 🏦 in cents.

pub fn balance(deposits: &[i64], withdrawals: &[i64]) -> i64 {
    let mut total = 0;
    for deposit in deposits {
        total += deposit;
    }
    for withdrawal in withdrawals {
        total -= withdrawal;
    }
    total
}

pub fn is_overdrawn(balance: i64) -> bool {
    if balance < 0 {
        return true;
    } else {
        return false;
    }
}
